"""Fast 8-bit dense layers. C twins: firmware/mcu_int8.h and templates/kernels/fast_dense.c.j2."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from mcugen.ir import Node, TensorType
from mcugen.kernels.int8_pack import Packed, mix, narrow, pack_pairs, takes, whole_image
from mcugen.ops.base import Constant, Kernel
from mcugen.ops.conv2d import residual_in_place


class FastDense(Kernel):
    """Dense layers, and convolutions whose one window is the whole image: four channels at a time."""

    def applies(self, node: Node, sources: Sequence[TensorType]) -> bool:
        plain = whole_image(node, sources[0]) and node.attrs["groups"] == 1
        return plain and takes(node, sources) and not narrow(node) and not self._packed(node, sources).split

    def _packed(self, node: Node, sources: Sequence[TensorType]) -> Packed:
        rows = mix(node.attrs["weights"].reshape(-1, node.type.channels).T)
        rows = np.pad(rows, ((0, -len(rows) % 4), (0, 0)))
        return pack_pairs(rows, sources[0], np.zeros(len(rows) // 2, bool), 8)

    def constants(self, node: Node, sources: Sequence[TensorType]) -> tuple[Constant, ...]:
        words = self._packed(node, sources).words
        words = words.reshape(-1, 2, words.shape[1]).transpose(0, 2, 1).reshape(-1)
        return (Constant("weights", "uint32_t", np.append(words, np.zeros(2, words.dtype)), role="weights"),)

    def params(self, node: Node, sources: Sequence[TensorType]) -> dict[str, Any]:
        packed = self._packed(node, sources)
        return {
            "terms": sources[0].size, "padded": 2 * packed.words.shape[1], "fours": packed.pairs // 4,
            "out_c": node.type.channels, "is_signed": int(sources[0].signed),
        }  # fmt: skip

    def scratch_bytes(self, node: Node, sources: Sequence[TensorType]) -> int:
        return 4 * int(self._packed(node, sources).words.shape[1]) + 16

    def cycles(self, node: Node, sources: Sequence[TensorType]) -> float:
        packed = self._packed(node, sources)
        fours = len(packed.words) // 2
        return float(1.8 * sources[0].size + fours * (4.7 * packed.words.shape[1] + 60 * packed.parts + 25))

    def in_place(self, node: Node, sources: Sequence[TensorType]) -> tuple[int, ...]:
        return residual_in_place(node, sources)
