"""Chains of calls run by bands of rows: of the tensors between them only the rows that are still needed exist.

For each band of the last call's output every call computes the new rows that the next one needs, from the front. A window
in scratch keeps the rows of each tensor between; rows that the next band needs again stay, so none is computed twice.
C twin: templates/kernels/rows.c.j2.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from mcugen.ir import Node, TensorType
from mcugen.ops.base import Call, Constant, Kernel
from mcugen.ops.overlap import lead
from mcugen.shapes import image

_ALIGN = 8
_COPY_CYCLES = 1.0  # of a byte that moves within its window


@dataclass(frozen=True)
class Reach:
    """Rows that an operator reads: row y of its output needs rows y * stride - top and `rows` - 1 more, of `height`."""

    stride: int
    top: int
    rows: int
    height: int

    @staticmethod
    def of(call: Call) -> Reach:
        attrs = call.node.attrs
        taps = attrs["weights"].shape[0] if "weights" in attrs else attrs.get("size", (1, 1))[0]
        reach = (taps - 1) * attrs.get("dilation", (1, 1))[0] + 1
        pads = attrs.get("pads", (0, 0, 0, 0))
        return Reach(attrs.get("strides", (1, 1))[0], pads[0], reach, image(call.sources[0].shape)[0])

    def first(self, row: int) -> int:
        return min(max(row * self.stride - self.top, 0), self.height)

    def end(self, rows: int) -> int:
        """End of what the first `rows` rows need."""
        return min(max((rows - 1) * self.stride - self.top + self.rows, 0), self.height)


@dataclass(frozen=True)
class Step:
    """One call's work in one band: rows `begin` to `end`; its window then begins at row `keep`."""

    keep: int
    begin: int
    end: int


def schedule(calls: Sequence[Call], band: int) -> list[list[Step]]:
    """Steps by band, then by call. The C loop computes the same numbers."""
    reaches = [Reach.of(call) for call in calls]
    height = image(calls[-1].node.type.shape)[0]
    ends = [0] * len(calls)
    bands = []
    for y in range(0, height, band):
        wanted = [0] * len(calls)
        wanted[-1] = min(y + band, height)
        for i in reversed(range(len(calls) - 1)):
            wanted[i] = max(ends[i], reaches[i + 1].end(wanted[i + 1]))
        steps = []
        for i in range(len(calls)):
            keep = reaches[i + 1].first(ends[i + 1]) if i + 1 < len(calls) else y
            steps.append(Step(keep, max(ends[i], keep), wanted[i]))
        ends = [max(end, step.end) for end, step in zip(ends, steps, strict=True)]
        bands.append(steps)
    return bands


def row_bytes(kind: TensorType) -> int:
    return kind.bytes // image(kind.shape)[0]


@dataclass(frozen=True)
class RowFused(Kernel):
    """Runs its `parts` by bands of `band` rows of the last one's output."""

    band: int = 1

    @property
    def inside(self) -> tuple[str, ...]:
        """Tensors between the parts."""
        return tuple(part.node.name for part in self.parts[:-1])

    def windows(self) -> list[tuple[int, int]]:
        """(offset in scratch, row bytes) of each tensor between the parts, and where the parts' own scratch begins."""
        bands, at, made = schedule(self.parts, self.band), 0, []
        for i, part in enumerate(self.parts[:-1]):
            size = row_bytes(part.node.type)
            made.append((at, size))
            rows = max(steps[i].end - steps[i].keep for steps in bands)
            at += -(-rows * size // _ALIGN) * _ALIGN
        return [*made, (at, 0)]

    def scratch_bytes(self, node: Node, sources: Sequence[TensorType]) -> int:
        return self.windows()[-1][0] + max(part.scratch_bytes for part in self.parts)

    def constants(self, node: Node, sources: Sequence[TensorType]) -> tuple[Constant, ...]:
        return tuple(replace(c, name=f"p{i}_{c.name}") for i, part in enumerate(self.parts) for c in part.constants)

    def cycles(self, node: Node, sources: Sequence[TensorType]) -> float:
        moved = 0
        for i, part in enumerate(self.parts[:-1]):
            kept = [steps[i].begin - steps[i].keep for steps in schedule(self.parts, self.band)[1:]]
            moved += sum(kept) * row_bytes(part.node.type)
        return sum(part.cycles for part in self.parts) + _COPY_CYCLES * moved

    @property
    def whole_bytes(self) -> int:
        """What the tensors between the parts would take as a whole, the most at one time."""
        sizes = [part.node.type.bytes for part in self.parts[:-1]]
        return max(sum(pair) for pair in zip(sizes, [*sizes[1:], 0], strict=True))

    @property
    def cycles_apart(self) -> float:
        """Modelled cycles of the same kernels one after another."""
        return sum(replace(part, kernel=replace(part.kernel, band_rows=0)).cycles for part in self.parts)

    def uses(self, name: str) -> list[tuple[int, int]]:
        """(part, input) that read a tensor from outside."""
        return [(p, j) for p, part in enumerate(self.parts) for j, source in enumerate(part.node.inputs) if source == name]

    def _lead(self, node: Node, kind: TensorType, uses: Sequence[tuple[int, int]]) -> int:
        """Reads of the last part take turns with its writes, all others of a band come before."""
        bands = schedule(self.parts, self.band)
        ends = np.array([steps[-1].end for steps in bands]) * row_bytes(node.type)
        leads = []
        for p, j in uses:
            reach = Reach.of(self.parts[p])
            rows = [reach.first(steps[p].begin) if j == 0 else steps[p].begin for steps in bands]
            leads.append(lead(np.array(rows) * row_bytes(kind), ends, reads_first=p + 1 < len(self.parts)))
        return max(leads)

    def lead_bytes(self, node: Node, sources: Sequence[TensorType], i: int) -> int | None:
        return self._lead(node, sources[i], self.uses(node.inputs[i]))

    def in_place(self, node: Node, sources: Sequence[TensorType]) -> tuple[int, ...]:
        last = self.parts[-1]
        places = last.kernel.in_place(last.node, last.sources)
        fits = []
        for i, name in enumerate(node.inputs):
            exact = [j for p, j in self.uses(name) if p + 1 == len(self.parts)]
            others = [use for use in self.uses(name) if use[0] + 1 < len(self.parts)]
            free = not others or self._lead(node, sources[i], others) <= 0
            if len(exact) == 1 and exact[0] in places and free:
                fits.append(i)
        return tuple(fits)

    def params(self, node: Node, sources: Sequence[TensorType]) -> Mapping[str, Any]:
        arguments = {name: "in" if i == 0 else f"in{i}" for i, name in enumerate(node.inputs)}
        windows = self.windows()
        stages = []
        for i, part in enumerate(self.parts):
            reach = Reach.of(part)
            stages.append({
                "number": i, "offset": windows[i][0], "row_bytes": windows[i][1], "layer": part.node.name,
                "type": part.node.type.c_type, "stride": reach.stride, "top": reach.top, "rows": reach.rows,
                "in_height": reach.height, "scratch": bool(part.scratch_bytes),
                "inputs": [arguments[name] for name in part.node.inputs[1:]],
                "first": arguments.get(part.node.inputs[0], ""), "in_type": part.sources[0].c_type,
            })  # fmt: skip
        height = image(self.parts[-1].node.type.shape)[0]
        return {"stages": stages, "band": self.band, "height": height, "free": windows[-1][0]}


def fuse_rows(calls: Sequence[Call], band: int) -> Call:
    """One call for a chain of calls whose tensors between nobody else reads."""
    steps = schedule(calls, band)
    parts = []
    for i, call in enumerate(calls):
        rows = max(step[i].end - step[i].begin for step in steps)
        parts.append(replace(call, kernel=replace(call.kernel, band_rows=max(rows, 1))))
    inside = {call.node.name for call in calls[:-1]}
    outside: dict[str, TensorType] = {}
    for call in calls:
        outside |= {name: kind for name, kind in zip(call.node.inputs, call.sources, strict=True) if name not in inside}
    last = calls[-1].node
    kernel = RowFused(f"rows of {band}", "rows.c.j2", parts=tuple(parts), band=band)
    return Call(last.but(inputs=tuple(outside)), tuple(outside.values()), kernel)
