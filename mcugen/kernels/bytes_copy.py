"""Copies by runs of bytes, whatever the codes: concatenation, borders, cropping and repeating; bits by words.

C twins: mcu_copy of firmware/mcu_bytes.h and templates/kernels/fast_{concat,concat_bits,pad,resize}.c.j2.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from mcugen.ir import Node, TensorType
from mcugen.ops.base import Kernel
from mcugen.ops.concat import GenericConcat
from mcugen.ops.overlap import pixel_lead
from mcugen.shapes import image

_MOST_WORDS = 12


def pixel_bytes(kind: TensorType) -> int:
    """From pixel to pixel."""
    return kind.bytes // (kind.size // kind.channels)


def _run_cycles(count: int) -> float:
    """Of copying so many bytes."""
    return 2.0 * (count // 4) + 4.0 * (count % 4)


def _few_words(sources: Sequence[TensorType]) -> bool:
    """Whether a pixel is so few words of bits that C can hold them in variables."""
    return all(s.layout == "words" for s in sources) and sum(s.stride for s in sources) <= _MOST_WORDS


class FastConcat(Kernel):
    """Inputs of whole bytes, stored like the output."""

    def applies(self, node: Node, sources: Sequence[TensorType]) -> bool:
        same = all((s.layout, s.bits, s.signed) == (node.type.layout, node.type.bits, node.type.signed) for s in sources)
        return same and all(source.whole for source in sources[:-1]) and not _few_words(sources)

    def params(self, node: Node, sources: Sequence[TensorType]) -> dict[str, Any]:
        starts = np.cumsum([0, *(pixel_bytes(source) for source in sources)])
        runs = [{"name": f"in{k or ''}", "bytes": pixel_bytes(source), "start": int(start)}
                for k, (source, start) in enumerate(zip(sources, starts, strict=False))]  # fmt: skip
        return {"pixels": node.type.size // node.type.channels, "stride": pixel_bytes(node.type), "runs": runs}

    def cycles(self, node: Node, sources: Sequence[TensorType]) -> float:
        return node.type.size // node.type.channels * sum(_run_cycles(pixel_bytes(source)) for source in sources)

    def lead_bytes(self, node: Node, sources: Sequence[TensorType], i: int) -> int | None:
        return GenericConcat("generic", "").lead_bytes(node, sources, i)


class BitsConcat(Kernel):
    """Bits: each pixel's words, shifted to where their channels begin; all are read before any is written."""

    def applies(self, node: Node, sources: Sequence[TensorType]) -> bool:
        return node.type.layout == "words" and _few_words(sources)

    def params(self, node: Node, sources: Sequence[TensorType]) -> dict[str, Any]:
        words: list[dict[str, Any]] = []
        outputs: list[list[tuple[int, int]]] = [[] for _ in range(node.type.stride)]
        start = 0
        for k, source in enumerate(sources):
            for at in range(source.stride):
                first, used = start + 32 * at, min(32, source.channels - 32 * at)
                outputs[first // 32].append((len(words), first % 32))
                if first % 32 + used > 32:
                    outputs[first // 32 + 1].append((len(words), first % 32 - 32))
                words.append({"name": f"in{k or ''}", "stride": source.stride, "at": at})
            start += source.channels
        return {"pixels": node.type.size // node.type.channels, "words": words, "outputs": outputs}

    def cycles(self, node: Node, sources: Sequence[TensorType]) -> float:
        words = sum(source.stride for source in sources)
        return float(node.type.size // node.type.channels * (1 + words + node.type.stride))

    def lead_bytes(self, node: Node, sources: Sequence[TensorType], i: int) -> int | None:
        return pixel_lead(node, sources[i], reads_first=True)


class FastPad(Kernel):
    """A row at a time: border, image, border. Codes of 0 are bytes of 0 in every layout that may be padded."""

    def applies(self, node: Node, sources: Sequence[TensorType]) -> bool:
        return (sources[0].c_type, sources[0].bits, sources[0].layout) == (node.type.c_type, node.type.bits, node.type.layout)

    def params(self, node: Node, sources: Sequence[TensorType]) -> dict[str, Any]:
        in_h, in_w, _ = image(sources[0].shape)
        top, bottom, left, right = (each * pixel_bytes(node.type) for each in node.attrs["pads"])
        out_w = image(node.type.shape)[1]
        return {"rows": in_h, "row": in_w * pixel_bytes(node.type), "above": top * out_w, "below": bottom * out_w,
                "left": left, "right": right}  # fmt: skip

    def cycles(self, node: Node, sources: Sequence[TensorType]) -> float:
        g = self.params(node, sources)
        border = 0.75 * (g["above"] + g["below"]) + g["rows"] * (12 + 0.75 * (g["left"] + g["right"]))
        return float(border + g["rows"] * _run_cycles(g["row"]))

    def lead_bytes(self, node: Node, sources: Sequence[TensorType], i: int) -> int | None:
        return pixel_lead(node, sources[0]) if i == 0 else None


class FastResize(Kernel):
    """Whole rows where only cropped, else whole pixels."""

    def params(self, node: Node, sources: Sequence[TensorType]) -> dict[str, Any]:
        (top, left), (rows, columns) = node.attrs["offset"], node.attrs["repeat"]
        out_h, out_w, _ = image(node.type.shape)
        whole = columns == 1
        size = pixel_bytes(node.type)
        return {"out_h": out_h, "runs": 1 if whole else out_w, "run": size * (out_w if whole else 1), "columns": columns,
                "step": size, "pitch": image(sources[0].shape)[1] * size, "rows": rows, "top": top, "left": left}  # fmt: skip

    def cycles(self, node: Node, sources: Sequence[TensorType]) -> float:
        g = self.params(node, sources)
        return float(g["out_h"] * (12 + g["runs"] * (6 + _run_cycles(g["run"]))))
