"""The client: what can be asked of a device, whichever engine carries the bytes. Every call ends within its time limit."""

from __future__ import annotations

import struct
import time
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import TypeVar

from mcugen.errors import McugenError
from mcugen.protocol import messages
from mcugen.protocol.frames import BrokenFrame
from mcugen.protocol.line import ATTEMPT_FACTOR, ATTEMPTS, SECOND, Line, Refused, Silence
from mcugen.protocol.messages import NO_STEP, Code, Hello, Result, Set, Tensor, Type
from mcugen.protocol.transport import Transport

__all__ = ["ATTEMPT_FACTOR", "Device", "InferResult", "StepRecord"]

_T = TypeVar("_T")
_INPUT_ATTEMPTS = 3


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


class Device:
    """A device behind a transport.

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
        self._line = Line(transport, clock)
        self._hello: Hello | None = None
        self._tensors: dict[tuple[Set, int], Tensor] = {}

    def __enter__(self) -> Device:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    @property
    def resent(self) -> int:
        """Requests that were sent again."""
        return self._line.resent

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
                raise self._error("the steps read are another inference's", SECOND)
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
            self._line.resent += bool(attempt)
            try:
                for index, data in enumerate(inputs):
                    self._write(index, data)
                result = messages.parse_result(self._exchange(Type.INFER, payload, self._infer_timeout))
                if result.inputs_crc == crc:
                    return result
                raise self._error("answers INFER with the result of other inputs", SECOND)
            except Refused as refused:
                self._check_reset(hello)
                stale = refused.kind is Type.WRITE or refused.code == Code.INPUTS
                if not stale or attempt == _INPUT_ATTEMPTS - 1:
                    raise self._line.refusal(refused) from refused
            except BrokenFrame as broken:
                raise self._error(str(broken), "flash firmware built by this mcugen") from broken
        raise AssertionError("unreachable")

    def _write(self, index: int, data: bytes) -> None:
        chunk = self._known().chunk
        for offset in range(0, len(data), chunk):
            self._exchange(Type.WRITE, struct.pack("<HI", index, offset) + data[offset : offset + chunk], self._timeout)

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
            raise self._error("the outputs read are not those computed", SECOND)

    def _parse(self, parse: Callable[[bytes], _T], kind: Type, payload: bytes = b"") -> _T:
        try:
            return parse(self._ask(kind, payload))
        except BrokenFrame as broken:
            raise self._error(str(broken), "flash firmware built by this mcugen") from broken

    def _ask(self, kind: Type, payload: bytes = b"") -> bytes:
        try:
            return self._exchange(kind, payload, self._timeout)
        except Refused as refused:
            raise self._line.refusal(refused) from refused

    def _exchange(self, kind: Type, payload: bytes, timeout: float) -> bytes:
        """As `Line.exchange`; silence is explained."""
        try:
            return self._line.exchange(kind, payload, timeout)
        except Silence:
            raise self._silence(kind) from None

    def _error(self, fact: str, remedy: str) -> McugenError:
        return self._line.error(fact, remedy)

    def _silence(self, kind: Type) -> McugenError:
        """Why there was no answer: a fault the device tells of, or nothing at all."""
        before = self._hello
        if before is not None and kind is not Type.HELLO:
            self._check_reset(before)
            return self._error(f"answers HELLO but not {kind.name}", "allow more time, or look for noise on the line")
        noise = f" ({self._line.broken} broken frames came)" if self._line.broken else ""
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
            return messages.parse_tensor(self._line.exchange(Type.DESCRIBE, payload, self._timeout)).name
        except (McugenError, Refused, Silence, BrokenFrame):
            return str(step)
