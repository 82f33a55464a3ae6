"""The client: asks a device, whichever engine carries the bytes. Every call ends within its time limit."""

from __future__ import annotations

import random
import struct
import time
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import TypeVar

from mcugen import messages
from mcugen.engines.transport import Transport
from mcugen.errors import McugenError
from mcugen.frames import PROTOCOL_VERSION, BrokenFrame, Frame, FrameReader, encode
from mcugen.messages import NO_STEP, REPLY, Code, Hello, Result, Set, Tensor, Type

_T = TypeVar("_T")
ATTEMPTS = 4
ATTEMPT_FACTOR = 2**ATTEMPTS - 1
_INPUT_ATTEMPTS = 3
_RESENDS = 8
_GRACE_S = 0.1
_SECOND = "look for a second program on the same port"


@dataclass(frozen=True)
class InferResult:
    """Bytes of each output, counts of the run alone; `cycles` in units of `Device.counter`."""

    outputs: list[bytes]
    cycles: int
    stack_bytes: int


@dataclass(frozen=True)
class StepRecord:
    """What one step cost and the CRC-32 of its output's bytes."""

    name: str
    cycles: int
    crc: int


class _Refused(Exception):
    """The device answered with an error code."""

    def __init__(self, code: int, detail: int) -> None:
        super().__init__(code, detail)
        self.code, self.detail = code, detail


class Device:
    """A device behind a transport; `resent` counts the requests that were sent again.

    Args:
        counter: what `cycles` counts on this engine: "cycles", "instructions" or "ticks"; `scale` times the device's.
        digest: refuse a device with another model (16 bytes).
        timeout: seconds to wait for a reply; doubled at each of the retries, so that a request has failed after
            `ATTEMPT_FACTOR` times as many. `infer_timeout`: for an inference.
        clock: seconds; replaced where time is simulated.
        where: names the place of an address in fault messages, such as `Symbols.describe`.
    """

    def __init__(
        self,
        transport: Transport,
        *,
        counter: str = "cycles",
        scale: float = 1.0,
        digest: bytes | None = None,
        timeout: float = 1.0,
        infer_timeout: float = 60.0,
        where: Callable[[int], str] = hex,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.transport, self.counter, self._scale = transport, counter, scale
        self._digest, self._timeout, self._infer_timeout, self._where = digest, timeout, infer_timeout, where
        self._reader = FrameReader()
        self._sequence = random.randrange(1, 1 << 16)
        self._clock, self.resent = clock, 0
        self._hello: Hello | None = None
        self._tensors: dict[tuple[Set, int], Tensor] = {}

    def __enter__(self) -> Device:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        self.transport.close()

    def hello(self) -> Hello:
        """Ask the device who it is, afresh.

        Raises:
            McugenError: no answer, another protocol, or another model than `digest`.
        """
        hello = self._parse(messages.parse_hello, Type.HELLO)
        if self._digest is not None and hello.digest != self._digest:
            raise self._error(
                f"runs model {hello.model} with digest {hello.digest.hex()}, not {self._digest.hex()}",
                "flash the firmware built from this model",
            )
        if self._hello is None or self._hello.digest != hello.digest:
            self._tensors.clear()
        self._hello = hello
        return hello

    def tensor(self, kind: Set, index: int) -> Tensor:
        """Descriptor of an input, output or step's output."""
        if (kind, index) not in self._tensors:
            payload = struct.pack("<BI", kind, index)
            self._tensors[kind, index] = self._parse(messages.parse_tensor, Type.DESCRIBE, payload)
        return self._tensors[kind, index]

    def inputs(self) -> list[Tensor]:
        return [self.tensor(Set.INPUTS, index) for index in range(self._known().n_inputs)]

    def outputs(self) -> list[Tensor]:
        return [self.tensor(Set.OUTPUTS, index) for index in range(self._known().n_outputs)]

    def infer(self, inputs: Sequence[bytes], *, trace: bool = False) -> InferResult:
        """Run the model once on the bytes of each input.

        Raises:
            McugenError: wrong sizes, no answer, a fault on the device, bytes damaged on the way.
        """
        result = self._run(inputs, messages.INFER_TRACE if trace else 0, NO_STEP)
        outputs = [self._read(Set.OUTPUTS, index, tensor.bytes) for index, tensor in enumerate(self.outputs())]
        self._check(b"".join(outputs), result)
        return InferResult(outputs, round(result.cycles * self._scale), result.stack_bytes)

    def trace(self, inputs: Sequence[bytes]) -> tuple[InferResult, list[StepRecord]]:
        """As `infer`, with every step's cost and CRC-32."""
        result = self.infer(inputs, trace=True)
        records: list[tuple[int, int]] = []
        while len(records) < self._known().n_steps:
            crc, more = self._parse(messages.parse_steps, Type.STEPS, struct.pack("<I", len(records)))
            if crc != zlib.crc32(b"".join(inputs)):
                raise self._error("the steps read are another inference's", _SECOND)
            if not more:
                raise self._error("sends an empty list of steps", "report this as a bug")
            records += more
        return result, [
            StepRecord(self.tensor(Set.STEPS, index).name, round(cycles * self._scale), crc)
            for index, (cycles, crc) in enumerate(records)
        ]

    def step_output(self, inputs: Sequence[bytes], step: int) -> bytes:
        """Run up to and including `step`, then the bytes of its output (later steps may reuse their memory)."""
        result = self._run(inputs, 0, step)
        data = self._read(Set.STEPS, step, self.tensor(Set.STEPS, step).bytes)
        self._check(data, result)
        return data

    def _known(self) -> Hello:
        return self._hello or self.hello()

    def _run(self, inputs: Sequence[bytes], flags: int, stop: int) -> Result:
        hello = self._known()
        wanted = [tensor.bytes for tensor in self.inputs()]
        if [len(data) for data in inputs] != wanted:
            given = [len(data) for data in inputs]
            raise self._error(f"takes inputs of {wanted} bytes, not {given}", "match the model's inputs")
        crc = zlib.crc32(b"".join(inputs))
        payload = hello.digest + struct.pack("<IBI", crc, flags, stop)
        for attempt in range(_INPUT_ATTEMPTS):
            self.resent += bool(attempt)
            for index, data in enumerate(inputs):
                self._write(index, data)
            try:
                result = messages.parse_result(self._exchange(Type.INFER, payload, self._infer_timeout))
                if result.inputs_crc == crc:
                    return result
                raise self._error("answers INFER with the result of other inputs", _SECOND)
            except _Refused as refused:
                self._check_reset(hello)
                if refused.code != Code.INPUTS or attempt == _INPUT_ATTEMPTS - 1:
                    raise self._refusal(Type.INFER, refused) from refused
            except BrokenFrame as broken:
                raise self._error(str(broken), "flash firmware built by this mcugen") from broken
        raise AssertionError("unreachable")

    def _write(self, index: int, data: bytes) -> None:
        chunk = self._known().chunk
        for offset in range(0, len(data), chunk):
            self._ask(Type.WRITE, struct.pack("<HI", index, offset) + data[offset : offset + chunk])

    def _read(self, kind: Set, index: int, size: int) -> bytes:
        data = b""
        while len(data) < size:
            length = min(self._known().chunk, size - len(data))
            part = self._ask(Type.READ, struct.pack("<BIIH", kind, index, len(data), length))
            if len(part) != length:
                raise self._error(f"sent {len(part)} of {length} bytes", "report this as a bug")
            data += part
        return data

    def _check(self, data: bytes, result: Result) -> None:
        if len(data) != result.bytes or zlib.crc32(data) != result.crc:
            raise self._error("the outputs read are not those computed", _SECOND)

    def _parse(self, parse: Callable[[bytes], _T], kind: Type, payload: bytes = b"") -> _T:
        try:
            return parse(self._ask(kind, payload))
        except BrokenFrame as broken:
            raise self._error(str(broken), "flash firmware built by this mcugen") from broken

    def _ask(self, kind: Type, payload: bytes = b"") -> bytes:
        try:
            return self._exchange(kind, payload, self._timeout)
        except _Refused as refused:
            raise self._refusal(kind, refused) from refused

    def _exchange(self, kind: Type, payload: bytes, timeout: float, explain: bool = True) -> bytes:
        """The payload of the reply; retried, each time with twice the time. `explain`: ask why there was none."""
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
        raise self._silence(kind if explain else Type.HELLO)

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
            raise _Refused(code, detail)
        return frame.sequence == self._sequence and frame.type == kind | REPLY

    def _error(self, fact: str, remedy: str) -> McugenError:
        return McugenError(self.transport.name, fact, remedy)

    def _old(self, version: int) -> McugenError:
        return self._error(
            f"the device speaks protocol version {version}, this mcugen version {PROTOCOL_VERSION}",
            "flash firmware built by this mcugen",
        )

    def _refusal(self, kind: Type, refused: _Refused) -> McugenError:
        remedies = {
            Code.DIGEST: "flash the firmware built from this model",
            Code.INPUTS: _SECOND,
            Code.NOT_READY: "run an inference first",
        }
        code = Code(refused.code) if refused.code in set(Code) else None
        name = code.name if code else f"code {refused.code}"
        return self._error(
            f"the device refuses {kind.name} ({name}, detail {refused.detail:#x})",
            remedies.get(code, "report this as a bug") if code else "flash firmware built by this mcugen",
        )

    def _silence(self, kind: Type) -> McugenError:
        """Why there was no answer: a fault the device tells of, or nothing at all."""
        before = self._hello
        if before is not None and kind is not Type.HELLO:
            self._check_reset(before)
            return self._error(f"answers HELLO but not {kind.name}", "allow more time, or look for noise on the line")
        noise = f" ({self._reader.broken} broken frames came)" if self._reader.broken else ""
        return self._error(
            f"no answer to {kind.name} after {ATTEMPTS} tries{noise}",
            "check that the firmware is flashed, the port is the board's and the baud rate its own",
        )

    def _check_reset(self, before: Hello) -> None:
        """Raise if the device does not answer HELLO or was reset since `before`."""
        now = self.hello()
        if now.boots != before.boots or now.uptime_ms < before.uptime_ms:
            raise self._fault(now)

    def _fault(self, hello: Hello) -> McugenError:
        fault = hello.fault
        if fault is None or fault.boot != hello.boots - 1:
            return self._error(f"the device was reset ({hello.reset_cause})", "check its supply and its reset button")
        step = f" in step {self._step_name(fault.step)}" if fault.step is not None else ""
        place = f" at {self._where(fault.pc)}, called from {self._where(fault.lr)}" if fault.pc else ""
        registers = f"address {fault.address:#010x}, CFSR {fault.cfsr:#010x}, SP {fault.sp:#010x}"
        return self._error(f"{fault.title}{step}{place} ({registers})", "report this as a bug with the model")

    def _step_name(self, step: int) -> str:
        """Its number where the device does not say, such as when it faults again."""
        try:
            payload = struct.pack("<BI", Set.STEPS, step)
            return messages.parse_tensor(self._exchange(Type.DESCRIBE, payload, self._timeout, explain=False)).name
        except (McugenError, _Refused, BrokenFrame):
            return str(step)
