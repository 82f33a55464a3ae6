"""A line that lies: a transport that damages, loses, repeats and delays what passes, in virtual time and by a seed.

For tests of the client and of firmware around a simulated device, which answers without waiting: nothing here sleeps.

    port = FaultyPort(simulator.transport(), seed=1, reset=reset)
    device = Device(port, clock=port.clock)
    port.arm("drop", share=0.1)
"""

from __future__ import annotations

import heapq
import random
from collections.abc import Callable

from mcugen.engines.spoil import Frames, answer_wrongly, other_client, spoil_bytes
from mcugen.errors import McugenError
from mcugen.protocol.transport import Transport

BYTES = ("flip", "drop", "cut", "noise", "baud")
"""Kinds that damage single frames."""
TIME = ("duplicate", "delay", "reorder")
DEVICE = ("disconnect", "reset", "second client", "old firmware", "wrong firmware")
KINDS = (*BYTES, *TIME, *DEVICE)
_BYTE_S = 10 / 921_600
_OUT, _IN = 0, 1

Flight = tuple[float, int, bytes]


class FaultyPort:
    """See the module.

    Args:
        inner: the device; its reads must return at once.
        reset: resets the device, at once or, if its argument is true, in the middle of the next inference.
        delay: longest delay of a frame in seconds.
    """

    def __init__(
        self, inner: Transport, seed: int, *, reset: Callable[[bool], None] = lambda mid: None, delay: float = 4.0
    ) -> None:
        self.name = f"faulty {inner.name}"
        self._inner, self._reset, self._delay = inner, reset, delay
        self._random = random.Random(seed)
        self._now, self._serial = 0.0, 0
        self._kinds: tuple[str, ...] = ()
        self._share = 0.0
        self._flights: tuple[list[Flight], list[Flight]] = ([], [])
        self._held: list[bytes | None] = [None, None]
        self._frames = (Frames(), Frames())
        self._ready = bytearray()
        self._connected = True
        self.faults: dict[str, int] = dict.fromkeys(KINDS, 0)

    def clock(self) -> float:
        """Virtual seconds, for `Device(clock=...)`."""
        return self._now

    def arm(self, *kinds: str, share: float = 1.0) -> None:
        """From now on each frame, either way, meets one of `kinds` with probability `share`."""
        self._kinds, self._share = kinds, share

    def calm(self) -> None:
        """No more faults; the cable is in; what was under way arrives, and stale replies wait for the client."""
        self._kinds, self._connected = (), True
        for way in (_OUT, _IN):
            self._release(way, self._now)
        self._now += self._delay
        self._move()

    # Transport

    def write(self, data: bytes) -> None:
        self._check()
        self._now += len(data) * _BYTE_S
        for frame in self._frames[_OUT].feed(data):
            self._pass(_OUT, frame)
        self._pass(_OUT, self._frames[_OUT].rest())
        self._check()

    def read(self, size: int, timeout: float) -> bytes:
        """See `Transport.read`; waits in virtual time."""
        end = self._now + timeout
        while True:
            self._check()
            self._move()
            if self._ready:
                data = bytes(self._ready[:size])
                del self._ready[:size]
                self._now += len(data) * _BYTE_S
                return data
            arrival = min((flights[0][0] for flights in self._flights if flights), default=end)
            if arrival >= end:
                self._now = max(self._now, end)
                return b""
            self._now = max(self._now, arrival)

    def close(self) -> None:
        self._inner.close()

    # Frames under way

    def _check(self) -> None:
        if not self._connected:
            raise McugenError(self.name, "the connection was lost (pulled out)", "check the cable and start again")

    def _move(self) -> None:
        """Hands over what has arrived at either end by now."""
        while self._due(_OUT):
            self._inner.write(heapq.heappop(self._flights[_OUT])[2])
            self._answer()
        self._answer()
        while self._due(_IN):
            self._ready += heapq.heappop(self._flights[_IN])[2]

    def _due(self, way: int) -> bool:
        return bool(self._flights[way]) and self._flights[way][0][0] <= self._now

    def _answer(self) -> None:
        while data := self._inner.read(1 << 16, 0.0):
            for frame in self._frames[_IN].feed(data):
                self._pass(_IN, frame)
        self._pass(_IN, self._frames[_IN].rest())

    def _send(self, way: int, data: bytes, after: float = 0.0) -> None:
        self._serial += 1
        if data:
            heapq.heappush(self._flights[way], (self._now + after, self._serial, data))

    def _release(self, way: int, at: float) -> None:
        held, self._held[way] = self._held[way], None
        self._send(way, held or b"", at - self._now)

    def _pass(self, way: int, frame: bytes) -> None:
        if not frame:
            return
        kind = self._random.choice(self._kinds) if self._kinds and self._random.random() < self._share else ""
        if len(frame) == 1 or not kind:  # a lone zero only ends what came before it
            self._send(way, frame)
        else:
            self.faults[kind] += 1
            self._disturb(kind, way, frame)
        if kind != "reorder":
            self._release(way, self._now)

    def _disturb(self, kind: str, way: int, frame: bytes) -> None:
        rng = self._random
        if kind in BYTES:
            self._send(way, spoil_bytes(kind, frame, rng))
        elif kind == "duplicate":
            self._send(way, frame)
            self._send(way, frame, rng.choice((0.0, rng.uniform(0, self._delay))))
        elif kind == "delay":
            self._send(way, frame, rng.uniform(0, self._delay))
        elif kind == "reorder":
            self._release(way, self._now)
            self._held[way] = frame  # until the next frame has passed it
        elif kind == "disconnect":
            self._send(way, frame[: rng.randrange(len(frame) + 1)])
            self._connected = False
        elif kind == "reset":
            self._send(way, frame)
            self._reset(rng.random() < 0.7)
        elif kind == "second client":
            other = other_client(frame, rng) if way == _OUT else b""
            for data in rng.choice(((other, frame), (frame, other))):
                self._send(way, data)
        else:
            self._send(way, answer_wrongly(kind, frame, rng) if way == _IN else frame)
