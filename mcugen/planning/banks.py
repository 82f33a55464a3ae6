"""Buffers over several banks: all in one where that is cheap, else the hottest first into the banks named first."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from mcugen.planning.buffers import Buffer, lower_bound
from mcugen.planning.exact import Search
from mcugen.planning.pack import Pairs, height, pack, place_lowest
from mcugen.planning.windows import raised_bound

Spots = dict[int, tuple[str, int]]  # buffer -> bank, offset

SMALL = 64  # buffers up to which the search for the smallest height is tried
_SHARES = (0.3, 0.1, 0.03, 0)  # of the bound; buffers above are searched through without the others
_STEPS = 3000
_TRIES = 40
_NEAR = 1.05  # of the lower bound: plans this small are chosen by speed, others by size
_SCRATCH_USES = 8  # a byte of scratch is read and written about this often more than one of a tensor


def place_buffers(buffers: Sequence[Buffer], room: Mapping[str, int], compact: bool) -> tuple[Spots, int] | Buffer:
    """Bank and offset of every buffer, and bytes that no plan can undercut; where there is no plan, a buffer without place.

    room: bytes of each bank, in order of speed. compact: the smallest total even where that is slower.
    """
    pairs = Pairs(buffers)
    offsets, bound = smallest(pairs)  # banks on top of each other are one, so this bounds several too
    candidates = list(_in_one_bank(pairs, offsets, room))
    stuck: Buffer | None = None
    if not candidates or (candidates[0][0][0] != next(iter(room)) and not compact):
        for order in _orders(buffers):
            spots = _first_fit(pairs, order, room)
            if isinstance(spots, Buffer):
                stuck = stuck or spots
            else:
                candidates.append(_tightened(pairs, spots, room))
    if not candidates:
        assert stuck is not None
        return stuck
    speed = {bank: i for i, bank in enumerate(room)}

    def rank(spots: Spots) -> tuple[float, float]:
        total = sum(used(pairs.buffers, spots).values())
        uses = [_SCRATCH_USES if buffer.scratch else 1 for buffer in buffers]
        slow = sum(speed[bank] * buffers[i].bytes * uses[i] for i, (bank, _) in spots.items())
        return (total, slow) if compact or total > _NEAR * bound else (0, slow)

    return min(candidates, key=rank), bound


def used(buffers: Sequence[Buffer], spots: Spots) -> dict[str, int]:
    """Bytes of each bank that is used."""
    ends: dict[str, int] = {}
    for i, (bank, offset) in spots.items():
        ends[bank] = max(ends.get(bank, 0), offset + buffers[i].bytes)
    return ends


def smallest(pairs: Pairs) -> tuple[dict[int, int], int]:
    """Offsets in one bank and a height that none undercut; where they differ the bound is raised, all searched, packed longer."""
    bound = lower_bound(pairs.buffers)
    offsets = pack(pairs, bound, climbs=1)
    if (size := height(pairs, offsets)) > bound:
        bound = raised_bound(pairs.buffers, bound, size)
    lowest: list[list[int]] = []
    for share in _SHARES if size > bound else ():
        large = [i for i, buffer in enumerate(pairs.buffers) if buffer.bytes > share * bound]
        if 0 < len(large) <= SMALL:
            search = Search(Pairs([pairs.buffers[i] for i in large]), size, bound, _STEPS)
            bound = max(bound, search.best) if search.proved else bound
            found = {large[k]: offset for k, offset in (search.found or {}).items()}
            offsets = found if len(found) == len(offsets) else offsets
            lowest += [sorted(found, key=lambda i: found[i])] if found else []
    if height(pairs, offsets) > bound:
        offsets = min(offsets, pack(pairs, bound, lowest=lowest), key=lambda each: height(pairs, each))
    return offsets, bound


def _in_one_bank(pairs: Pairs, offsets: dict[int, int], room: Mapping[str, int]) -> Iterator[Spots]:
    """All in one bank, the first that has room."""
    for bank, size in room.items():
        if height(pairs, offsets) <= size and not any(bank in buffer.barred for buffer in pairs.buffers):
            yield {i: (bank, offset) for i, offset in offsets.items()}
            return


def _orders(buffers: Sequence[Buffer]) -> list[list[int]]:
    """Largest first; scratch first, then largest; smallest lives first."""
    indices = range(len(buffers))
    return [
        sorted(indices, key=lambda i: (-buffers[i].bytes, buffers[i].first, buffers[i].name)),
        sorted(indices, key=lambda i: (not buffers[i].scratch, -buffers[i].bytes, buffers[i].first, buffers[i].name)),
    ]


def _first_fit(pairs: Pairs, order: Sequence[int], room: Mapping[str, int]) -> Spots | Buffer:
    """Each buffer in the first bank with room; one that finds none goes to the front of the next try."""
    order = list(order)
    for _ in range(_TRIES):
        spots: Spots = {}
        stuck = next((i for i in order if not _fit(pairs, i, spots, room)), None)
        if stuck is None:
            return spots
        if order[0] == stuck:
            break
        order = [stuck, *(i for i in order if i != stuck)]
    assert stuck is not None
    return pairs.buffers[stuck]


def _fit(pairs: Pairs, i: int, spots: Spots, room: Mapping[str, int]) -> bool:
    buffer = pairs.buffers[i]
    for bank, size in room.items():
        if bank in buffer.barred:
            continue
        offset = place_lowest(pairs, i, {j: at for j, (where, at) in spots.items() if where == bank})
        if offset + buffer.bytes <= size:
            spots[i] = (bank, offset)
            return True
    return False


def _tightened(pairs: Pairs, spots: Spots, room: Mapping[str, int]) -> Spots:
    """Every bank packed anew with what it holds."""
    better = dict(spots)
    for bank in room:
        mine = [i for i, (where, _) in spots.items() if where == bank]
        if not mine:
            continue
        part = Pairs([pairs.buffers[i] for i in mine])
        offsets = pack(part, 0, climbs=1)
        if height(part, offsets) < max(spots[i][1] + pairs.buffers[i].bytes for i in mine):
            better |= {mine[k]: (bank, offset) for k, offset in offsets.items()}
    return better
