"""Requests and their replies over a transport: sequence numbers, retries, time limits. Every exchange ends in time."""

from __future__ import annotations

import random
import struct
import time
from collections.abc import Callable

from mcugen.errors import McugenError
from mcugen.protocol.frames import PROTOCOL_VERSION, Frame, FrameReader, encode
from mcugen.protocol.messages import REPLY, Code, Type
from mcugen.protocol.transport import Transport

ATTEMPTS = 4
ATTEMPT_FACTOR = 2**ATTEMPTS - 1
_RESENDS = 8
_GRACE_S = 0.1
SECOND = "look for a second program on the same port"
_REMEDIES = {
    Code.DIGEST: "flash the firmware built from this model",
    Code.INPUTS: SECOND,
    Code.NOT_READY: "run an inference first",
}


class Refused(Exception):
    """The device answered with an error code."""

    def __init__(self, kind: Type, code: int, detail: int) -> None:
        super().__init__(kind, code, detail)
        self.kind, self.code, self.detail = kind, code, detail


class Silence(Exception):
    """No answer within the time of all attempts."""


class Line:
    """The way to one device; `resent` counts the requests that were sent again. `clock`: seconds."""

    def __init__(self, transport: Transport, clock: Callable[[], float] = time.monotonic) -> None:
        self.transport, self.resent = transport, 0
        self._clock, self._reader = clock, FrameReader()
        self._sequence = random.randrange(1, 1 << 16)

    @property
    def broken(self) -> int:
        """Damaged frames that came in so far."""
        return self._reader.broken

    def exchange(self, kind: Type, payload: bytes, timeout: float) -> bytes:
        """The payload of the reply; retried, each time with twice the time, so for `ATTEMPT_FACTOR * timeout` seconds at most.

        Raises:
            Refused: the device answered with an error code.
            Silence: it did not answer.
            McugenError: it speaks another version of the protocol, or the port is gone.
        """
        self._sequence = self._sequence % 0xFFFF + 1
        request = b"\0" + encode(Frame(kind, self._sequence, payload))
        for attempt in range(ATTEMPTS):
            deadline = self._clock() + timeout * 2**attempt
            for resend in range(_RESENDS):
                self.resent += bool(attempt or resend)
                self.transport.write(request)
                reply, broken = self._await(kind, deadline)
                if reply is not None:
                    return reply
                if not broken:
                    break
        raise Silence

    def _await(self, kind: Type, deadline: float) -> tuple[bytes | None, bool]:
        """(the reply's payload or None, whether the device complained of a broken request: perhaps this one).

        After a complaint the reply comes soon or never. Replies to earlier requests are dropped.
        """
        broken = False
        while (left := deadline - self._clock()) > 0:
            data = self.transport.read(4096, left)
            if not data:
                break
            for frame in self._reader.feed(data):
                if self._is_reply(kind, frame):
                    return frame.payload, broken
                if frame.sequence == 0:
                    broken, deadline = True, min(deadline, self._clock() + _GRACE_S)
        return None, broken

    def _is_reply(self, kind: Type, frame: Frame) -> bool:
        if frame.version != PROTOCOL_VERSION:
            raise self._old(frame.version)
        if frame.sequence == self._sequence and frame.type == Type.ERROR and len(frame.payload) == 6:
            code, _, detail = struct.unpack("<BBI", frame.payload)
            if code == Code.VERSION:
                raise self._old(detail)
            raise Refused(kind, code, detail)
        return frame.sequence == self._sequence and frame.type == kind | REPLY

    def error(self, fact: str, remedy: str) -> McugenError:
        return McugenError(self.transport.name, fact, remedy)

    def refusal(self, refused: Refused) -> McugenError:
        code = Code(refused.code) if refused.code in set(Code) else None
        name = code.name if code else f"code {refused.code}"
        return self.error(
            f"the device refuses {refused.kind.name} ({name}, detail {refused.detail:#x})",
            _REMEDIES.get(code, "report this as a bug") if code else "flash firmware built by this mcugen",
        )

    def _old(self, version: int) -> McugenError:
        return self.error(
            f"the device speaks protocol version {version}, this mcugen version {PROTOCOL_VERSION}",
            "flash firmware built by this mcugen",
        )
