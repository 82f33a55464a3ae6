"""Offsets within one bank: buffers in an order, each at its lowest place; orders improved by moving what sticks out.

For each pair that lives at one time the difference of the offsets may not lie in an open interval: `Pairs`.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence

from mcugen.planning.buffers import Buffer

_ROUNDS = 400


class Pairs:
    """For buffer i the list of (j, below, above): offset i - offset j may not lie between -below and above."""

    def __init__(self, buffers: Sequence[Buffer]) -> None:
        self.buffers = buffers
        self.of: list[list[tuple[int, int, int]]] = [[] for _ in buffers]
        for i, a in enumerate(buffers):
            for j in range(i):
                b = buffers[j]
                if not a.meets(b):
                    continue
                below, above = a.bytes, b.bytes
                for name, lead in a.over:
                    if name == b.name:
                        below = min(below, lead)
                for name, lead in b.over:
                    if name == a.name:
                        above = min(above, lead)
                if -below < above:
                    self.of[i].append((j, below, above))
                    self.of[j].append((i, above, below))


def place_lowest(pairs: Pairs, i: int, offsets: dict[int, int]) -> int:
    """The lowest offset of buffer i among those already placed."""
    blocked = sorted((offsets[j] - below, offsets[j] + above) for j, below, above in pairs.of[i] if j in offsets)
    offset = 0
    for low, high in blocked:
        if low < offset < high:
            offset = high
    return offset


def place_all(pairs: Pairs, order: Iterable[int]) -> dict[int, int]:
    offsets: dict[int, int] = {}
    for i in order:
        offsets[i] = place_lowest(pairs, i, offsets)
    return offsets


def height(pairs: Pairs, offsets: dict[int, int]) -> int:
    return max((offset + pairs.buffers[i].bytes for i, offset in offsets.items()), default=0)


def pack(pairs: Pairs, bound: int, rounds: int = _ROUNDS) -> dict[int, int]:
    """Offsets with a small height; stops at `bound`. The same buffers give the same offsets."""
    chance = random.Random(0)
    best, found = [], {}
    least = 1 << 62
    for order in _orders(pairs.buffers):
        offsets = place_all(pairs, order)
        if (size := height(pairs, offsets)) < least:
            best, found, least = order, offsets, size
    order, current = best, least
    for _ in range(rounds if best else 0):
        if least <= bound:
            break
        tried = _moved(pairs, order, found if current == least else place_all(pairs, order), chance)
        offsets = place_all(pairs, tried)
        size = height(pairs, offsets)
        if size <= current or chance.random() < 0.02:
            order, current = tried, size
        if size < least:
            found, least = offsets, size
    return found


def _orders(buffers: Sequence[Buffer]) -> list[list[int]]:
    """Orders worth a try: by size, by size and life, by the end of life, by time both ways."""
    def by(key: object) -> list[int]:
        return sorted(range(len(buffers)), key=key)  # type: ignore[call-overload, no-any-return]

    return [
        by(lambda i: (-buffers[i].bytes, buffers[i].first, buffers[i].name)),
        by(lambda i: (-buffers[i].bytes * (buffers[i].last - buffers[i].first + 1), buffers[i].name)),
        by(lambda i: (buffers[i].first, -buffers[i].last, buffers[i].name)),
        by(lambda i: (-buffers[i].last, buffers[i].first, buffers[i].name)),
    ]


def _moved(pairs: Pairs, order: Sequence[int], offsets: dict[int, int], chance: random.Random) -> list[int]:
    """The order with a buffer that reaches the top, or one that meets it, moved towards the front."""
    top = height(pairs, offsets)
    tall = chance.choice([i for i in order if offsets[i] + pairs.buffers[i].bytes == top])
    moved = chance.choice([tall, *(j for j, _, _ in pairs.of[tall])])
    rest = [i for i in order if i != moved]
    to = chance.randrange(order.index(moved) + 1) if chance.random() < 0.8 else chance.randrange(len(order))
    return [*rest[:to], moved, *rest[to:]]
