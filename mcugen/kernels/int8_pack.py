"""8-bit weights packed for the DSP extension: two output channels in a 16-bit lane, two terms in a word.

C twin: firmware/mcu_int8.h.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mcugen.ir import Array, Int, Node, TensorType
from mcugen.numerics.packing import weight_bits
from mcugen.ops.base import Constant
from mcugen.ops.conv2d import geometry


@dataclass(frozen=True)
class Packed:
    """Words (channel pairs, term pairs), and how to read them.

    signs: by which each channel is stored; split: a lane holds two bytes that stay apart; parts: into how many equal
    parts the terms are cut so that the sums of each stay below 2^23.
    """

    words: Array
    signs: Int
    split: bool
    parts: int

    @property
    def pairs(self) -> int:
        """Pairs of terms in one part."""
        return int(self.words.shape[1]) // self.parts


def pack_pairs(rows: Int, source: TensorType, may_negate: Array, whole: int) -> Packed:
    """Weight rows (even number of channels, terms) to words of two channels by two terms.

    A part is `whole` terms or a multiple. A lane is w0 + 256 * w1, for which it must fit 16 bits; negating a channel may
    help (may_negate: per pair). Where a pair has no such signs, all words are split; for 16-bit codes too, whose sums pass 2^23.
    """
    low, high = rows[0::2], rows[1::2]
    signs = np.zeros((len(low), 2), np.int64)
    for s0, s1 in ((1, 1), (1, -1), (-1, 1), (-1, -1)):
        lanes = s0 * low + 256 * s1 * high
        fits = (np.abs(2 * lanes + 1) < 1 << 16).all(axis=1) & (s0 * low < 128).all(axis=1)
        fits &= may_negate | (s0 + s1 == 2)
        signs[fits & (signs[:, 0] == 0)] = s0, s1
    split = bool((signs == 0).any()) or source.bits == 16
    if split:
        signs[:] = 1
    lanes = (low & 255) + 256 * high if split else signs[:, :1] * low + 256 * signs[:, 1:] * high
    parts = 1
    while not split and _longest_sum(_cut_terms(rows, parts, whole), source) >= 1 << 23:
        parts += 1
    lanes = np.ascontiguousarray(_cut_terms(lanes, parts, whole).astype("<i2"))
    return Packed(lanes.reshape(len(lanes), -1).view("<u4"), signs.reshape(-1), split, parts)


def _cut_terms(rows: Int, parts: int, whole: int) -> Int:
    """(rows, parts, terms of a part), padded with 0."""
    size = -(-rows.shape[1] // (whole * parts)) * whole
    return np.pad(rows, ((0, 0), (0, size * parts - rows.shape[1]))).reshape(len(rows), parts, size)


def _longest_sum(pieces: Int, source: TensorType) -> int:
    """The largest magnitude of a sum of codes by weights over the last axis."""
    ends = np.stack([pieces * source.lo, pieces * source.hi, np.zeros_like(pieces)])
    return int(max(-ends.min(axis=0).sum(axis=-1).min(), ends.max(axis=0).sum(axis=-1).max()))


def integers(source: TensorType, bits: Sequence[int]) -> bool:
    """Whether elements are integers of one of these numbers of bits, each in bytes of its own."""
    return source.kind == "int" and source.bits in bits and source.layout == "hwc" and not source.bipolar


def eight_bits(source: TensorType) -> bool:
    """Whether elements are 8-bit integers."""
    return integers(source, (8,))


def takes(node: Node, sources: Sequence[TensorType], bits: Sequence[int] = (8,)) -> bool:
    """Whether the weights fit 8 bits and the codes are of 8, or other, bits."""
    weights: Int = node.attrs["weights"]
    return integers(sources[0], bits) and bool(weights.min() >= -128 and weights.max() <= 127)


def biased(source: TensorType) -> bool:
    """Whether codes lose 2^15 when they are copied, since they have 16 bits without a sign."""
    return source.bits == 16 and not source.signed


def bias_table(weights: Int) -> Constant:
    """What each channel's sum then lacks, modulo 2^32; weights: channels last, without padding."""
    lost = (weights.reshape(-1, weights.shape[-1]).sum(axis=0) << 15).astype(np.int64)
    return Constant("lost", "uint32_t", (lost & 0xFFFFFFFF).astype(np.uint32))


def narrow(node: Node) -> bool:
    """Whether the weights are stored in fewer bits than the 8 they would take here (mcugen/kernels/subbyte_conv.py)."""
    return weight_bits(node.attrs["weight_type"]) <= 4


def mix(rows: Int) -> Int:
    """Terms in the order in which mcu_widen leaves whole groups of four when `mixed`."""
    whole = rows.shape[1] // 4 * 4
    mixed = rows[:, :whole].reshape(len(rows), -1, 4)[:, :, [0, 2, 1, 3]].reshape(len(rows), -1)
    return np.concatenate([mixed, rows[:, whole:]], axis=1)


def whole_image(node: Node, source: TensorType) -> bool:
    g = geometry(node, source)
    size = (g["kh"], g["kw"]) == (g["in_h"], g["in_w"])
    return size and not any(node.attrs["pads"]) and g["dh"] == g["dw"] == 1
