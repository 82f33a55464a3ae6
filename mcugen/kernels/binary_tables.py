"""Binary convolution by tables of matches. C twins: firmware/mcu_binary_tables.h, mcu_binary_sums.h and
templates/kernels/fast_binary_conv.c.j2.

Up to five activations of one pixel are one index byte; a table in scratch gives the number of matching weights of 16
output channels for every index. Cycles are fitted to modelled Cortex-M7 cycles.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from mcugen.ir import Array, Node, TensorType
from mcugen.kernels.binary_finish import asked, mode_of, stage_constants, stage_cycles, stage_params
from mcugen.kernels.binary_pack import LANES, Groups, groups_of_codes, groups_of_words, pack_tables
from mcugen.kernels.binary_windows import Windows, binary_geometry, counts_double, padded_bytes, source_form, takes_bits
from mcugen.ops.base import Constant, Kernel
from mcugen.ops.conv2d import residual_in_place
from mcugen.shapes import image

_TABLE_BYTES = 16 * 1024  # above this the taps are taken in parts
BAND_BYTES = 8 * 1024


@dataclass(frozen=True)
class _Layout:
    """Decisions about one layer."""

    groups: Groups
    terms: int  # products of a full window
    wide: bool  # 16-bit counts
    twice: bool
    part: tuple[int, int]
    band: int
    mode: str
    index_bytes: int
    table_bytes: int
    counts_bytes: int
    slice_bytes: int  # the channels of one group of a grouped convolution

    @property
    def scratch_bytes(self) -> int:
        return self.index_bytes + self.table_bytes + self.counts_bytes + self.slice_bytes


@dataclass(frozen=True)
class BinaryConv(Kernel):
    """Binary convolution by tables; of int8 codes it takes the signs."""

    def applies(self, node: Node, sources: Sequence[TensorType]) -> bool:
        terms = int(np.prod(node.attrs["weights"].shape[:3]))
        plan = self.layout(node, sources)
        fits = plan.table_bytes <= 1 << 15 and plan.slice_bytes <= 1 << 16
        return takes_bits(node, sources[0]) and terms < 1 << 15 and fits

    def layout(self, node: Node, sources: Sequence[TensorType]) -> _Layout:
        kh, kw, depth, _ = node.attrs["weights"].shape
        in_h, in_w, _ = image(sources[0].shape)
        out_h, out_w, _ = image(node.type.shape)
        terms = kh * kw * depth
        groups = groups_of_words(depth)
        if source_form(node) == "codes":
            groups = groups_of_codes(depth, out_h * out_w > 20)
        size = len(groups.rows) * groups.stride
        twice = counts_double(node)
        parts = [p for p in ((kh, kw), (1, kw), (1, 1)) if p[0] * p[1] * size <= _TABLE_BYTES]
        part = parts[0] if parts else (1, 1)
        wide = twice or terms > 254 or part != (kh, kw)
        pixel = 32 if wide else 16
        band = max(1, min(out_h, BAND_BYTES // (pixel * out_w)))
        part_bytes = depth if source_form(node) == "codes" else 4 * -(-depth // 32)
        return _Layout(
            groups, terms, wide, twice, part, band, mode_of(node, sources),
            padded_bytes(in_h * in_w * len(groups.rows) + 4), padded_bytes(part[0] * part[1] * size),
            padded_bytes(band * out_w * pixel), padded_bytes(in_h * in_w * part_bytes) if node.attrs["groups"] > 1 else 0,
        )  # fmt: skip

    def constants(self, node: Node, sources: Sequence[TensorType]) -> tuple[Constant, ...]:
        plan = self.layout(node, sources)
        parts = np.split(node.attrs["weights"], node.attrs["groups"], axis=-1)
        packed = np.concatenate([pack_tables(part, plan.groups, plan.wide, source_form(node) == "codes") for part in parts])
        stage = stage_constants(node, sources, plan.terms, plan.wide, plan.twice)
        return (Constant("weights", "uint32_t", packed, role="weights"), *stage)

    def params(self, node: Node, sources: Sequence[TensorType]) -> dict[str, Any]:
        plan = self.layout(node, sources)
        kh, kw = node.attrs["weights"].shape[:2]
        in_w, groups = image(sources[0].shape)[1], len(plan.groups.rows)
        runs, chunks = self._chunks(node, sources, plan)
        steps = [{"name": f"codes{8 * w}", "step": (8 + 8 * plan.wide) * w} for w in sorted({c["words"] for c in chunks})]
        return {
            **binary_geometry(node, sources), **stage_params(node, sources, plan.wide, plan.twice),
            "fives": plan.groups.fives, "fours": plan.groups.fours, "stride": plan.groups.stride,
            "part_h": plan.part[0], "part_w": plan.part[1], "part_count": (kh // plan.part[0]) * (kw // plan.part[1]),
            "pitch": in_w * groups, "skip": plan.part[1] * groups * plan.groups.stride,
            "step": node.attrs["strides"][1] * groups, "band": plan.band, "terms": plan.terms,
            "runs": runs, "chunks": chunks, "codes": steps if plan.mode == "fixed" else [],
            "table_at": plan.index_bytes, "counts_at": plan.index_bytes + plan.table_bytes,
            "groups": node.attrs["groups"], "in_stride": sources[0].stride, "slice_at": plan.scratch_bytes - plan.slice_bytes,
        }  # fmt: skip

    def _chunks(
        self, node: Node, sources: Sequence[TensorType], plan: _Layout
    ) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
        """The sum functions to define, and the chunks of output channels with the functions that each of them uses."""
        in_w, count = image(sources[0].shape)[1], node.type.channels // node.attrs["groups"]
        padded = any(node.attrs["pads"][2:])
        groups, (high, wide) = len(plan.groups.rows), plan.part
        runs: dict[str, dict[str, Any]] = {}

        def run(kind: str, taps: int, rows: int, lanes: int) -> str:
            if not 0 < taps <= in_w:
                return ""
            runs[f"{kind}{lanes}"] = {"name": f"{kind}{lanes}", "lanes": lanes, "groups": taps * groups, "rows": rows}
            return f"{kind}{lanes}"

        chunks = []
        for start, stop in ((0, count // LANES * LANES), (count // LANES * LANES, count)):
            if start == stop:
                continue
            words = 1 if stop - start <= LANES // 2 else 2
            lanes = 8 * words
            unrolled = high > 1 and high * wide * groups <= 48
            used = [
                run("all", wide, 0, lanes),
                run("rows", wide, high, lanes) if unrolled else "",
                run("less", wide - 1, 0, lanes) if padded else "",
                *([f"codes{lanes}"] if plan.mode == "fixed" else []),
            ]
            each = min(LANES, stop - start)
            chunks.append({"start": start, "stop": stop, "channels": each, "words": words, "runs": used})
        return list(runs.values()), chunks

    def scratch_bytes(self, node: Node, sources: Sequence[TensorType]) -> int:
        return self.layout(node, sources).scratch_bytes

    def cycles(self, node: Node, sources: Sequence[TensorType]) -> float:
        plan, windows = self.layout(node, sources), Windows.of(node, sources)
        (kh, kw, depth, count), groups = node.attrs["weights"].shape, len(plan.groups.rows)
        times: int = node.attrs["groups"]
        build = 91.0 * 4 * plan.groups.fives + 52.0 * plan.groups.fours
        again = -(-windows.out_h // plan.band) if plan.part != (kh, kw) else 1
        rest = plan.part[1] * groups % 12
        row = 3.5 * (rest // 3) + 5.5 * (rest % 3) + (27.0 * -(-plan.part[1] * groups // 48) if plan.wide else 3.0)
        runs = windows.rows * (kw // plan.part[1])
        pixels = windows.pixels * (16.0 * (kh // plan.part[0]) * (kw // plan.part[1]) + (22.0 if plan.wide else 0.0))
        total = windows.inputs * (2.5 * groups if source_form(node) == "codes" else 5.0 + 1.5 * groups)
        total += windows.inputs * (2.0 * depth if source_form(node) == "codes" else 12.0 * -(-depth // 32)) * (times > 1)
        for start in range(0, count // times, LANES):
            each = 3.6 if count // times - start > LANES // 2 else 2.3
            total += build * kh * kw * again + windows.taps * groups * each + runs * row + pixels + windows.border * 40.0
        return float(times * total + stage_cycles(node, sources, -(-windows.out_h // plan.band), plan.wide) + 300.0)

    def asked_channels(self, node: Node, sources: Sequence[TensorType]) -> Array | None:
        return asked(node, sources)

    def in_place(self, node: Node, sources: Sequence[TensorType]) -> tuple[int, ...]:
        return residual_in_place(node, sources, input_first=node.attrs["groups"] == 1)

    def lead_bytes(self, node: Node, sources: Sequence[TensorType], i: int) -> int | None:
        return super().lead_bytes(node, sources, i) if node.attrs["groups"] == 1 else None
