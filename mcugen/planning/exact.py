"""The smallest height of one bank, by branch and bound over who lies below whom.

Every pair that lives at one time and is in conflict gets a direction; directions are differences of offsets that must be
kept, so the lowest offsets are longest paths. Only conflicts of the current offsets are branched on.
"""

from __future__ import annotations

from mcugen.planning.pack import Pairs


class _Limit(Exception):
    """Too many steps."""


class Search:
    """Looks for offsets below a height; `proved` afterwards says whether the search was complete."""

    def __init__(self, pairs: Pairs, below: int, bound: int, steps: int) -> None:
        self.pairs, self.best, self.bound, self.steps = pairs, below, bound, steps
        self.found: dict[int, int] | None = None
        self.proved = True
        self.sizes = [buffer.bytes for buffer in pairs.buffers]
        try:
            self._branch([0] * len(self.sizes), [[] for _ in self.sizes])
        except _Limit:
            self.proved = False

    def _branch(self, offsets: list[int], above: list[list[tuple[int, int]]]) -> None:
        """above[i]: (j, d): offset j must be at least offset i + d."""
        if self.best <= self.bound:
            return
        self.steps -= 1
        if self.steps < 0:
            raise _Limit
        conflict = self._conflict(offsets)
        if conflict is None:
            self.best = max(o + s for o, s in zip(offsets, self.sizes, strict=True))
            self.found = dict(enumerate(offsets))
            return
        i, j, below, high = conflict
        choices = [(j, i, high), (i, j, below)]  # i above j, j above i
        choices.sort(key=lambda c: offsets[c[0]] + c[2] - offsets[c[1]])
        for low, up, distance in choices:
            edges = list(above)
            edges[low] = [*above[low], (up, distance)]
            raised = self._raise(list(offsets), edges, up, offsets[low] + distance)
            if raised is not None:
                self._branch(raised, edges)

    def _raise(self, offsets: list[int], above: list[list[tuple[int, int]]], start: int, to: int) -> list[int] | None:
        """Longest paths after `start` moved up to `to`; None where the height reaches the best or goes round."""
        todo = [(start, to)]
        while todo:
            i, offset = todo.pop()
            if offset <= offsets[i]:
                continue
            if offset + self.sizes[i] >= self.best:
                return None
            offsets[i] = offset
            todo += [(j, offset + distance) for j, distance in above[i]]
        return offsets

    def _conflict(self, offsets: list[int]) -> tuple[int, int, int, int] | None:
        """The conflict whose cheaper way out costs most."""
        worst, cost = None, 0
        for i, row in enumerate(self.pairs.of):
            for j, below, above in row:
                if j < i and -below < (difference := offsets[i] - offsets[j]) < above:
                    price = min(above - difference, below + difference)
                    if price > cost:
                        worst, cost = (i, j, below, above), price
        return worst
