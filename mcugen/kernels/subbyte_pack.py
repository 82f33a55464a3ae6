"""Weights of 2 and 4 bits as the words that firmware/mcu_subbyte.h reads."""

from __future__ import annotations

import numpy as np

from mcugen.ir import Array, Int

EIGHT, SIXTEEN = 8, 16  # terms that the inner loops for fields and for nested weights take in one turn


def pack_fields(rows: Int, bits: int) -> Array:
    """Weights (even number of channels, terms a multiple of 8) to uint32 words (channel pairs, words) for UMLAL.

    Turned right by 2 * bits * k, a word has the first channel's term k in its lowest bits and the second's in its
    highest; both w + 2^(bits - 1).
    """
    each = 16 // bits
    fields = (rows + (1 << (bits - 1))).astype(np.uint64).reshape(len(rows) // 2, 2, -1, each)
    at = 2 * bits * np.arange(each)
    words = (fields[:, 0] << at.astype(np.uint64)) | (fields[:, 1] << ((at - bits) % 32).astype(np.uint64))
    packed: Array = np.bitwise_or.reduce(words, axis=-1).astype(np.uint32)
    return packed


def pack_nested(rows: Int, bits: int) -> Array:
    """Weights (channels a multiple of 4, terms of 8) to uint32 words (channel fours, words) for SMLAD.

    A lane has one term of four channels, the first in its lowest bits, all w + 2^(bits - 1) but the fourth of 4 bits,
    which is two's complement. Words of 4 bits have two lanes, those of 2 bits four, in bytes 0, 2, 1, 3.
    """
    fields = rows + (1 << (bits - 1))
    if bits == 4:
        fields[3::4] = rows[3::4] & 15
    lanes = np.zeros((len(rows) // 4, rows.shape[1]), np.int64)
    for k in range(4):
        lanes |= fields[k::4] << (bits * k)
    if bits == 4:
        return np.ascontiguousarray(lanes.astype("<u2")).view("<u4")
    mixed = lanes.reshape(len(lanes), -1, 4)[:, :, [0, 2, 1, 3]].reshape(len(lanes), -1)
    return np.ascontiguousarray(mixed.astype(np.uint8)).view("<u4")


def padded(rows: Int, count: int, terms: int) -> Int:
    """Rows and terms of zeros added."""
    return np.pad(rows, ((0, count - len(rows)), (0, terms - rows.shape[1])))


def parts_of(rows: Int, fits: float, lowest: int, of: int, turn: int = EIGHT) -> tuple[int, int]:
    """(parts, terms a part) such that each part's sum of abs(weights - lowest) * of stays at most `fits`.

    Parts are multiples of `turn` terms, equally long; the last may reach beyond the rows.
    """
    sums = np.cumsum(np.pad(np.abs(rows - lowest) * of, ((0, 0), (1, 0))), axis=1)
    total = -(-rows.shape[1] // turn)
    for parts in range(1, total + 1):
        size = turn * -(-total // parts)
        ends = np.minimum(np.arange(0, size * parts + 1, size), rows.shape[1])
        if (np.diff(sums[:, ends], axis=1) <= fits).all():
            return -(-total * turn // size), size
    raise ValueError("the shortest part overflows")
