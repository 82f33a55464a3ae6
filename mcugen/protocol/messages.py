"""Requests and replies as the device packs them, twin of firmware/protocol.h and queries.c."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import IntEnum

from mcugen.protocol.frames import BrokenFrame


class Type(IntEnum):
    """Message types; a reply is its request's type with bit 7 set."""

    HELLO = 1
    DESCRIBE = 2
    WRITE = 3
    INFER = 4
    READ = 5
    STEPS = 6
    ERROR = 0xFF


REPLY = 0x80


class Set(IntEnum):
    """Which of the model's tensors an index counts in."""

    INPUTS = 0
    OUTPUTS = 1
    STEPS = 2


class Code(IntEnum):
    """Error codes of the device."""

    CRC = 1
    LENGTH = 2
    TYPE = 3
    VERSION = 4
    DIGEST = 5
    RANGE = 6
    INPUTS = 7
    NOT_READY = 8


NO_STEP = 0xFFFFFFFF
INFER_TRACE = 1
_FAULTS = {2: "NMI", 3: "HardFault", 4: "MemManage fault", 5: "BusFault", 6: "UsageFault", 255: "watchdog reset"}
_RESETS = ("unknown", "power-on", "reset pin", "software", "watchdog", "low power")
_CLOCKS = ("fixed", "HSE and PLL", "HSI and PLL", "HSI")
_KINDS = {"i": "int", "u": "uint", "f": "float", "b": "bits"}


@dataclass(frozen=True)
class Tensor:
    """One tensor of the model on the device; `kind`: int, uint, float or bits; `shape` without the batch axis."""

    name: str
    kind: str
    bits: int
    shape: tuple[int, ...]
    bytes: int
    scale: float


@dataclass(frozen=True)
class Fault:
    """The record of a fault: in boot number `boot`, while `step` ran (None: outside an inference)."""

    kind: int
    boot: int
    step: int | None
    pc: int
    lr: int
    psr: int
    sp: int
    cfsr: int
    hfsr: int
    address: int

    @property
    def title(self) -> str:
        return _FAULTS.get(self.kind, f"exception {self.kind}")


@dataclass(frozen=True)
class Hello:
    """What a device tells of itself. Times in ms, `clock_hz` of its cycle counter, sizes in bytes."""

    chunk: int
    digest: bytes
    model: str
    board: str
    reset_cause: str
    clock_source: str
    fault: Fault | None
    n_inputs: int
    n_outputs: int
    n_steps: int
    clock_hz: int
    uptime_ms: int
    boots: int
    boot_timeouts: int
    rx_lost: int
    tx_timeouts: int
    stack_bytes: int
    stack_used: int


@dataclass(frozen=True)
class Result:
    """Reply to INFER: steps done, cycles, CRC-32 of the inputs, stack used, bytes and CRC-32 of what can be read now."""

    steps: int
    cycles: int
    inputs_crc: int
    stack_bytes: int
    bytes: int
    crc: int


def _text(payload: bytes, at: int) -> tuple[str, int]:
    end = at + 1 + payload[at]
    if end > len(payload):
        raise IndexError
    return payload[at + 1 : end].decode("utf-8", "replace"), end


def _name(names: tuple[str, ...], index: int) -> str:
    return names[index] if index < len(names) else f"number {index}"


def parse_hello(payload: bytes) -> Hello:
    """Raises BrokenFrame if the layout does not fit."""
    try:
        chunk, digest, *words = struct.unpack_from("<I16s23I", payload)
        model, at = _text(payload, 20 + 4 * 23)
        board, at = _text(payload, at)
    except (struct.error, IndexError) as error:
        raise BrokenFrame("HELLO is cut") from error
    if not 0 < chunk <= 1 << 16:
        raise BrokenFrame(f"HELLO names chunks of {chunk} bytes")
    kind, boot, step, *registers = words[13:]
    fault = Fault(kind, boot, None if step == NO_STEP else step, *registers) if kind else None
    reset, clock = _name(_RESETS, words[11]), _name(_CLOCKS, words[12])
    return Hello(chunk, digest, model, board, reset, clock, fault, *words[:11])


def parse_tensor(payload: bytes) -> Tensor:
    """Raises BrokenFrame if the layout does not fit."""
    try:
        kind, bits, n_dims, *dims, size, scale = struct.unpack_from("<cBB5If", payload)
        name, _ = _text(payload, 27)
        return Tensor(name, _KINDS[kind.decode("latin-1")], bits, tuple(dims[:n_dims]), size, scale)
    except (struct.error, IndexError, KeyError) as error:
        raise BrokenFrame("DESCRIBE is cut or of an unknown kind") from error


def parse_result(payload: bytes) -> Result:
    """Raises BrokenFrame if the layout does not fit."""
    try:
        return Result(*struct.unpack("<IQIIII", payload))
    except struct.error as error:
        raise BrokenFrame("INFER's reply is cut") from error


def parse_steps(payload: bytes) -> tuple[int, list[tuple[int, int]]]:
    """CRC-32 of the inputs; (cycles, CRC-32) of each step. Raises BrokenFrame if the layout does not fit."""
    if len(payload) < 6 or len(payload) != 6 + 12 * int.from_bytes(payload[:2], "little"):
        raise BrokenFrame("STEPS is cut")
    records = [(cycles, crc) for cycles, crc in struct.iter_unpack("<QI", payload[6:])]
    return int.from_bytes(payload[2:6], "little"), records
