"""Packings of binary weights. C twins: firmware/mcu_binary_tables.h and mcu_binary_sets.h."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mcugen.ir import Array, Int

LANES = 16  # output channels of a chunk of tables; the last chunk may have 8


@dataclass(frozen=True)
class Groups:
    """How one pixel's channels form index bytes: `rows[g]` are the channels of group g, lowest index bit first."""

    rows: tuple[tuple[int, ...], ...]
    fives: int  # blocks of four groups of five, at the front

    @property
    def fours(self) -> int:
        return len(self.rows) - 4 * self.fives

    @property
    def stride(self) -> int:
        return 256 if self.fives else 128


def groups_of_codes(channels: int, five: bool) -> Groups:
    """Groups that mcb_index_codes makes: 20 channels a block of fives, then 16, 4 and the rest."""
    rows: list[tuple[int, ...]] = []
    fives = channels // 20 if five else 0
    at = 0
    for size, count in ((5, fives), (4, (channels - 20 * fives) // 16)):
        for _ in range(count):
            rows += [tuple(at + 4 * (size - 1 - r) + j for r in range(size)) for j in range(4)]
            at += 4 * size
    while at < channels:
        rows.append(tuple(range(at, min(at + 4, channels))))
        at += 4
    return Groups(tuple(rows), fives)


def groups_of_words(channels: int) -> Groups:
    """Groups that mcb_index_words makes: of each word the low nibbles of the bytes, then the high ones."""
    rows: list[tuple[int, ...]] = []
    for at in range(0, channels, 32):
        left = min(32, channels - at)
        count = 4 if left > 16 else -(-left // 8)
        for half in (0, 4) if left > 4 else (0,):
            rows += [tuple(c for c in range(at + 8 * j + half, at + 8 * j + half + 4) if c < channels) for j in range(count)]
    return Groups(tuple(rows), 0)


def lane_order(wide: bool) -> list[int]:
    """Channel (within eight) of every nibble of a table word, lowest nibble first."""
    low = (0, 2, 1, 3) if wide else (0, 1, 2, 3)
    return [low[n // 2] + 4 * (n % 2) for n in range(8)]


def pack_tables(weights: Int, groups: Groups, wide: bool, invert: bool) -> Array:
    """Weights -1/+1 (kh, kw, C, N) to the uint32 words that mcb_tables reads: chunk, tap, group, word, one bit a weight.

    invert: index bits are 1 for activations of -1. Rows and channels that do not exist have weight 1.
    """
    kh, kw, depth, count = weights.shape
    bits = ((weights > 0) != invert).astype(np.uint32).reshape(kh * kw, depth, count)
    bits = np.pad(bits, ((0, 0), (0, 1), (0, -count % LANES)), constant_values=1)
    shifts = np.arange(8, dtype=np.uint32) * 4
    order = lane_order(wide)
    parts: list[Array] = []
    for start in range(0, count, LANES):
        chunk = bits[:, :, start : start + LANES].reshape(kh * kw, depth + 1, 2, 8)[..., order]
        lanes = np.bitwise_or.reduce(chunk << shifts, axis=-1).astype(np.uint32)  # (taps, C + 1, 2)
        rows: list[Array] = []
        fifth = np.zeros((kh * kw, 2), np.uint32)
        for g, channels in enumerate(groups.rows):
            padded = [*channels, *[depth] * (4 - len(channels))]
            rows.append(np.bitwise_or.reduce([lanes[:, c] << np.uint32(r) for r, c in enumerate(padded[:4])], axis=0))
            if g < 4 * groups.fives:
                fifth = fifth | lanes[:, channels[4]] << np.uint32(g % 4)
                if g % 4 == 3:
                    rows.append(fifth)
                    fifth = np.zeros((kh * kw, 2), np.uint32)
        parts.append(np.stack(rows, axis=1).reshape(-1))
    return np.concatenate(parts)


def pack_sets(weights: Int) -> Array:
    """Weights -1/+1 (kh, kw, C, N) to uint32 words, one a (tap, channel), a zero word after each 32 output channels."""
    kh, kw, depth, count = weights.shape
    bits = np.pad(weights.reshape(-1, count) > 0, ((0, 1), (0, -count % 32)))
    bits[-1] = False
    lanes = np.array([c // 4 + 16 * (c % 2) + 8 * (c // 2 % 2) for c in range(32)], np.uint32)
    words = np.bitwise_or.reduce(bits.reshape(kh * kw * depth + 1, -1, 32).astype(np.uint32) << lanes, axis=-1)
    return np.ascontiguousarray(words.T.astype(np.uint32))
