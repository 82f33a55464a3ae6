"""A lower bound of the height from a few calls in a row: what must lie where in one call leaves too little room in the next.

A bank can only be lower without a buffer than with it, so the smallest height of the large buffers of a window of time bounds
that of all. Windows are small enough to be searched through.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from mcugen.planning.buffers import Buffer
from mcugen.planning.exact import Search
from mcugen.planning.pack import Pairs

_CALLS = 12  # longest window
_SHARES = (0.3, 0.1, 0.03)  # of the bound; smaller buffers are left out
_STEPS = 200  # of a window
_ALL_STEPS = 20_000


def raised_bound(buffers: Sequence[Buffer], bound: int, height: int) -> int:
    """A bound of at least `bound` and at most `height`."""
    steps = _ALL_STEPS
    for window in _windows(buffers, bound):
        if bound >= height or steps <= 0:
            break
        if sum(buffers[i].bytes for i in window) > bound:
            search = Search(Pairs([buffers[i] for i in window]), height, bound, _STEPS)
            steps -= _STEPS - search.steps
            bound = max(bound, search.best) if search.proved else bound
    return bound


def _windows(buffers: Sequence[Buffer], bound: int) -> Iterator[tuple[int, ...]]:
    """The large buffers that live in some calls in a row; few calls first."""
    seen: set[tuple[int, ...]] = set()
    times = range(-1, max((buffer.last for buffer in buffers), default=-1) + 1)
    for calls in range(2, _CALLS + 1):
        for first in times:
            alive = [i for i, b in enumerate(buffers) if b.first < first + calls and b.last >= first]
            for share in _SHARES:
                window = tuple(i for i in alive if buffers[i].bytes > share * bound)
                if window not in seen:
                    seen.add(window)
                    yield window
