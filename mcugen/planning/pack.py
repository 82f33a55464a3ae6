"""Offsets within one bank: buffers in an order, each at its lowest place; orders improved by moving what sticks out.

For each pair that lives at one time the difference of the offsets may not lie in an open interval: `Pairs`.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from itertools import cycle

from mcugen.planning.buffers import Buffer

_ROUNDS = 150  # of a climb
_CLIMBS = 15


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


def pack(pairs: Pairs, bound: int, climbs: int = _CLIMBS, lowest: Sequence[Sequence[int]] = ()) -> dict[int, int]:
    """Offsets with a small height, the best of so many climbs; stops at `bound`. The same buffers give the same offsets.

    lowest: sequences of buffers worth a try at the front of an order.
    """
    starts = [(order, place_all(pairs, order)) for order in _orders(pairs.buffers, lowest)]
    starts.sort(key=lambda start: height(pairs, start[1]))
    best = starts[0][1]
    for number, (order, offsets) in zip(range(climbs), cycle(starts), strict=False):
        if height(pairs, best) <= bound:
            break
        best = min(best, _climb(pairs, order, offsets, bound, random.Random(number)), key=lambda each: height(pairs, each))
    return best


def _climb(pairs: Pairs, order: Sequence[int], offsets: dict[int, int], bound: int, chance: random.Random) -> dict[int, int]:
    """The best of the orders met while moving what sticks out; worse ones are kept now and then."""
    best, least = offsets, height(pairs, offsets)
    current = least
    for _ in range(_ROUNDS):
        if least <= bound:
            break
        tried = _moved(pairs, order, offsets, chance)
        spots = place_all(pairs, tried)
        size = height(pairs, spots)
        if size <= current or chance.random() < 0.02:
            order, offsets, current = tried, spots, size
        if size < least:
            best, least = spots, size
    return best


def _orders(buffers: Sequence[Buffer], lowest: Sequence[Sequence[int]]) -> list[list[int]]:
    """Orders worth a try: by size (with each of `lowest` in front too), by size and life, by time both ways."""
    def by(key: object) -> list[int]:
        return sorted(range(len(buffers)), key=key)  # type: ignore[call-overload, no-any-return]

    sizes = by(lambda i: (-buffers[i].bytes, buffers[i].first, buffers[i].name))
    return [
        sizes,
        *([*first, *(i for i in sizes if i not in first)] for first in lowest),
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
