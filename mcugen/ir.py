"""The types that flow through the compiler; all are frozen, none knows how it was made.

Three graphs follow each other: `Network` (layers as the file has them), then `Graph` of `Node`s, first with one node an
arithmetic step, later with the steps that follow an accumulator fused into its `Epilogue`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

Int = NDArray[np.int64]
Float = NDArray[np.float32]
Array = NDArray[Any]


@dataclass(frozen=True)
class Layer:
    """One layer as the file has it: Keras class, validated config, float weights by name, names of its input layers."""

    name: str
    class_name: str
    config: Mapping[str, Any]
    inputs: tuple[str, ...]
    weights: Mapping[str, Float] = field(default_factory=dict)


@dataclass(frozen=True)
class Network:
    """Layers in topological order; `outputs` names layers. `digest` identifies the file's content (hex SHA-256)."""

    name: str
    layers: tuple[Layer, ...]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    digest: str = ""


@dataclass(frozen=True)
class TensorType:
    """What one tensor holds, batch axis left out.

    Integers: value = code * scale, lo <= code <= hi. `bipolar` codes are -1 and +1 only (stored as one bit, 1 = +1).
    Floats: `kind` is "float"; lo, hi and scale mean nothing.
    layout: "hwc" (row-major elements), "words" (bits along the channels in 32-bit words, one row of words a pixel),
    "packed" (2 or 4 bits a code along the channels, lowest bits first; a pixel begins at a byte, bits left over are 0).
    """

    shape: tuple[int, ...]
    kind: str = "int"
    lo: int = 0
    hi: int = 0
    scale: float = 1.0
    bipolar: bool = False
    layout: str = "hwc"

    @property
    def bits(self) -> int:
        """Storage bits of one element: 1, 2, 4, 8, 16 or 32."""
        if self.kind == "float":
            return 32
        if self.bipolar:
            return 1
        for bits in (2, 4, 8, 16) if self.layout == "packed" else (8, 16):
            if (self.lo >= -(1 << (bits - 1)) and self.hi < 1 << (bits - 1)) or (self.lo >= 0 and self.hi < 1 << bits):
                return bits
        return 32

    @property
    def signed(self) -> bool:
        return self.lo < 0 or self.bits == 32

    @property
    def size(self) -> int:
        return int(np.prod(self.shape, dtype=np.int64))

    @property
    def channels(self) -> int:
        return self.shape[-1]

    @property
    def stride(self) -> int:
        """Elements of `c_type` from pixel to pixel."""
        if self.layout == "words":
            return -(-self.channels // 32)
        return -(-self.channels * self.bits // 8) if self.layout == "packed" else self.channels

    @property
    def whole(self) -> bool:
        """Whether pixels end where storage elements end, so that no bits are left over."""
        return self.layout == "hwc" or self.channels * self.bits % (32 if self.layout == "words" else 8) == 0

    @property
    def bytes(self) -> int:
        """Bytes in memory; a pixel of bits fills whole 32-bit words, one of packed codes whole bytes."""
        element = {"words": 32, "packed": 8}.get(self.layout, self.bits)
        return self.size // self.channels * self.stride * element // 8

    @property
    def c_type(self) -> str:
        """Type of the elements that C addresses: words of bits, bytes of packed codes, else the codes themselves."""
        if self.kind == "float":
            return "float"
        if self.layout != "hwc":
            return "uint32_t" if self.layout == "words" else "uint8_t"
        return f"{'' if self.signed else 'u'}int{self.bits}_t"

    @property
    def stored(self) -> str:
        """What one code is stored as, for people: float, bit, uint4, int8."""
        return "float" if self.kind == "float" else "bit" if self.bipolar else f"{'' if self.signed else 'u'}int{self.bits}"

    @classmethod
    def of_codes(cls, shape: tuple[int, ...], lo: int, hi: int, scale: float, bipolar: bool = False) -> TensorType:
        """Integers in the narrowest layout that holds them."""
        packed = lo >= -8 and hi < (8 if lo < 0 else 16)
        return cls(shape, "int", lo, hi, scale, bipolar, "words" if bipolar else "packed" if packed else "hwc")


@dataclass(frozen=True)
class Node:
    """One operation; `attrs` are finished numbers and arrays that the operator's file in mcugen/ops/ documents."""

    name: str
    op: str
    inputs: tuple[str, ...]
    type: TensorType
    attrs: Mapping[str, Any] = field(default_factory=dict)

    @property
    def wide(self) -> bool:
        """Whether its sums need 64 bits."""
        return "acc_lo" in self.attrs and max(-int(self.attrs["acc_lo"].min()), int(self.attrs["acc_hi"].max())) >= 1 << 31

    def but(self, **changes: Any) -> Node:
        return replace(self, **changes)


@dataclass(frozen=True)
class Graph:
    """Nodes in topological order; a tensor has the name of the node that makes it."""

    name: str
    nodes: tuple[Node, ...]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    digest: str = ""

    def __getitem__(self, name: str) -> Node:
        return self.by_name[name]

    @property
    def by_name(self) -> dict[str, Node]:
        return {node.name: node for node in self.nodes}

    def users(self) -> dict[str, list[str]]:
        """For every tensor the names of the nodes that read it."""
        users: dict[str, list[str]] = {node.name: [] for node in self.nodes}
        for node in self.nodes:
            for source in node.inputs:
                users[source].append(node.name)
        return users


@dataclass(frozen=True)
class Region:
    """One memory of the board: `start` and `size` in bytes; `use` lists what may live there."""

    name: str
    start: int
    size: int
    use: tuple[str, ...]


@dataclass(frozen=True)
class Board:
    """A board file (boards/NAME.toml) as read by `mcugen.boards.load_board`."""

    name: str
    title: str
    cpu_flags: Mapping[str, tuple[str, ...]]
    clock_hz: int
    regions: tuple[Region, ...]
    options: Mapping[str, Any] = field(default_factory=dict)
    uart: Mapping[str, Any] = field(default_factory=dict)  # name, baud, irq, irqs
    firmware: Mapping[str, Any] = field(default_factory=dict)  # sources: the board's own C files
    limits: Mapping[str, int] = field(default_factory=dict)  # stack_bytes, data_bytes, buffers_bytes
    timing: Mapping[str, int] = field(default_factory=dict)  # facts for a cycle model
    flash_tools: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    text: str = field(default="", repr=False, compare=False)  # the file

    def region(self, name: str) -> Region:
        return next(region for region in self.regions if region.name == name)

    def home(self, use: str) -> Region:
        """The first region with this use (see mcugen.boards.USES)."""
        return next(region for region in self.regions if use in region.use)
