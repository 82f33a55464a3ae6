"""What every operator states: the type it makes, its meaning in NumPy, and the C kernels that compute it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache, cached_property
from typing import Any

import numpy as np

from mcugen.ir import Array, Int, Node, TensorType
from mcugen.numerics.epilogue import Epilogue, finish
from mcugen.resources import data_dir


@dataclass(frozen=True)
class Constant:
    """A table in flash: C element type, values (made flat and of that type), alignment in bytes, what it counts as."""

    name: str
    c_type: str
    values: Array
    align: int = 4
    role: str = "tables"  # "weights" or "tables" in the budget

    def __post_init__(self) -> None:
        kind = np.float32 if self.c_type == "float" else np.dtype(self.c_type.removesuffix("_t"))
        object.__setattr__(self, "values", self.values.reshape(-1).astype(kind))

    @property
    def content(self) -> tuple[str, bytes]:
        """Equal where the bytes in flash are and C reads them alike: such tables are stored once."""
        return self.c_type, self.values.tobytes()


@cache
def _takes_rows(template: str) -> bool:
    text = (data_dir("templates") / "kernels" / template).read_text("utf-8")
    return "first_row" in text or "first_pixel" in text


@dataclass(frozen=True)
class Kernel:
    """One way to compute an operator in C. Subclasses override what differs.

    `template` is under templates/kernels/; `params` are its finished numbers. `takes_signs`: understands attrs["sign_input"].
    `takes_wide`: sums in 64 bits where the node does.
    `code_bytes`: about what its code takes in flash. `input_first`: reads all of its first input before it writes.
    `band_rows`: rows that it computes in one call, 0 for all; `parts`: the calls that it runs by such bands
    (mcugen/planning/bands.py).
    """

    name: str
    template: str
    takes_signs: bool = False
    takes_wide: bool = False
    code_bytes: int = 400
    input_first: bool = False
    band_rows: int = 0
    parts: tuple[Call, ...] = ()

    @property
    def by_rows(self) -> bool:
        """Whether it can compute some rows at a time: its template then reads first_row or first_pixel."""
        return bool(self.template) and _takes_rows(self.template)

    def applies(self, node: Node, sources: Sequence[TensorType]) -> bool:
        return True

    def constants(self, node: Node, sources: Sequence[TensorType]) -> tuple[Constant, ...]:
        return ()

    def params(self, node: Node, sources: Sequence[TensorType]) -> Mapping[str, Any]:
        return {}

    def scratch_bytes(self, node: Node, sources: Sequence[TensorType]) -> int:
        return 0

    def cycles(self, node: Node, sources: Sequence[TensorType]) -> float:
        """Modelled Cortex-M7 cycles, an estimate for choosing between kernels."""
        raise NotImplementedError

    def asked_channels(self, node: Node, sources: Sequence[TensorType]) -> Array | None:
        """bool (channels,): those that pass through the C output stage, where the kernel finishes the others; None: all."""
        return None

    def in_place(self, node: Node, sources: Sequence[TensorType]) -> tuple[int, ...]:
        """Numbers of the inputs whose buffer the output may take over, byte for byte."""
        return ()

    def lead_bytes(self, node: Node, sources: Sequence[TensorType], i: int) -> int | None:
        """Bytes by which the output must start before input `i` to overwrite only what was read (mcugen/ops/overlap.py).

        Negative: it may start later. None: they stay apart.
        """
        return -sources[0].bytes if i == 0 and self.input_first else None


@dataclass(frozen=True)
class Call:
    """A node with the kernel chosen for it."""

    node: Node
    sources: tuple[TensorType, ...]
    kernel: Kernel
    rejected: Mapping[str, float] = field(default_factory=dict)

    @property
    def parts(self) -> tuple[Call, ...]:
        """The calls that it runs by bands of rows; itself where it is a plain one."""
        return self.kernel.parts or (self,)

    @cached_property
    def constants(self) -> tuple[Constant, ...]:
        return self.kernel.constants(self.node, self.sources)

    @cached_property
    def cycles(self) -> float:
        return self.kernel.cycles(self.node, self.sources)

    @cached_property
    def leads(self) -> tuple[int | None, ...]:
        """`Kernel.lead_bytes` of every input."""
        return tuple(self.kernel.lead_bytes(self.node, self.sources, i) for i in range(len(self.sources)))

    @cached_property
    def scratch_bytes(self) -> int:
        return self.kernel.scratch_bytes(self.node, self.sources)


class Operator:
    """An operator; `reference` defines what all its kernels must compute."""

    name = ""
    kernels: tuple[Kernel, ...] = ()

    def infer(self, node: Node, sources: Sequence[TensorType]) -> TensorType:
        """The output's type from the inputs' types (shape from the node)."""
        raise NotImplementedError(self.name)

    def reference(self, node: Node, sources: Sequence[TensorType], inputs: Sequence[Array]) -> Array:
        """Codes (int64) or float32 values, batch axis first, from the inputs' codes or values."""
        raise NotImplementedError(self.name)

    def bounds(self, weights: Int, source: TensorType) -> tuple[Int, Int]:
        """Lowest and highest reachable sum of each output channel."""
        raise NotImplementedError(self.name)

    def macs(self, node: Node, sources: Sequence[TensorType]) -> int:
        """Multiply-accumulates of one inference."""
        return 0


def complete(node: Node, sources: Sequence[TensorType], acc: Int, inputs: Sequence[Array]) -> Array:
    """Applies the node's epilogue to sums (N, ..., channels); inputs[1:] are its tensor operands."""
    epilogue: Epilogue = node.attrs["epilogue"]
    shaped = [x.reshape(acc.shape) for x in inputs[1:]]
    values = [to_value(x, kind) for x, kind in zip(shaped, sources[1:], strict=True)]
    if "counts" in node.attrs:
        values.append(node.attrs["counts"].astype(np.float32))
    residual = shaped[epilogue.residual.operand - 1] if epilogue.residual is not None else None
    return finish(epilogue, acc, values, residual).reshape((acc.shape[0], *node.type.shape))


def to_value(codes: Array, kind: TensorType) -> Array:
    """float32 values of codes; floats pass."""
    if kind.kind == "float":
        return codes
    return codes.astype(np.float32) * np.float32(kind.scale)


def same_grid(node: Node, sources: Sequence[TensorType]) -> TensorType:
    """The common type of inputs that share one grid, with the union of their ranges."""
    first = sources[0]
    assert all((s.kind, s.scale, s.bipolar) == (first.kind, first.scale, first.bipolar) for s in sources)
    lo, hi = min(s.lo for s in sources), max(s.hi for s in sources)
    if first.kind == "float":
        return replace(first, shape=node.type.shape)
    return TensorType.of_codes(node.type.shape, lo, hi, first.scale, first.bipolar)
