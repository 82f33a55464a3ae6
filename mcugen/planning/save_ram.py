"""Fewer bytes at the busiest moment: chains of calls by bands of rows where they cause it, then the fastest kernels that fit."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from mcugen.ir import Graph
from mcugen.ops.base import Call
from mcugen.planning.bands import RowFused, fuse_rows
from mcugen.planning.buffers import make_buffers, needed
from mcugen.select import kernels_for
from mcugen.shapes import image

_LONGEST = 6  # calls in a chain
_BANDS = (16, 8, 4, 2)


@dataclass(frozen=True)
class Chain:
    """Calls `first` to `last` by bands of rows."""

    first: int
    last: int
    band: int = 1


def save_ram(
    graph: Graph, calls: Sequence[Call], enough: int = 0, swap: bool = True, keep_inputs: bool = False
) -> tuple[Call, ...]:
    """The calls with chains fused by rows until no moment needs more than `enough` bytes, or nothing helps any more.

    swap: whether kernels may then be exchanged for the fastest that need no more at their moment than the busiest does.
    keep_inputs: whether the inputs must outlive all calls.
    """
    search = Search(graph, calls, keep_inputs)
    chains: tuple[Chain, ...] = ()
    while (most := max(search.needs(chains))) > enough:
        better = search.improved(chains, most)
        if better is None:
            break
        chains = better
    most = max(enough, most)
    for chain in chains:
        rest = tuple(each for each in chains if each != chain)
        widened = (tuple(sorted((*rest, replace(chain, band=band)), key=lambda c: c.first)) for band in _BANDS)
        chains = next((tried for tried in (rest, *widened) if max(search.needs(tried)) <= most), chains)
    fused = search.build(chains)
    return _swap_kernels(graph, fused, most, keep_inputs) if swap else fused


class Search:
    """Which chains can be fused, and what each choice needs."""

    def __init__(self, graph: Graph, calls: Sequence[Call], keep_inputs: bool = False) -> None:
        self.graph, self.calls, self.keep_inputs = graph, calls, keep_inputs
        self.made: dict[Chain, Call] = {}
        readers: dict[str, list[int]] = {}
        for time, call in enumerate(calls):
            for name in call.node.inputs:
                readers.setdefault(name, []).append(time)
        self.joined = [
            i + 1 < len(calls)
            and readers.get(call.node.name) == [i + 1]
            and calls[i + 1].node.inputs[0] == call.node.name
            and call.node.name not in graph.outputs
            and _by_rows(call)
            and _by_rows(calls[i + 1])
            for i, call in enumerate(calls)
        ]

    def build(self, chains: Sequence[Chain]) -> tuple[Call, ...]:
        calls, at = [], 0
        for chain in chains:
            if chain not in self.made:
                self.made[chain] = fuse_rows(self.calls[chain.first : chain.last + 1], chain.band)
            calls += [*self.calls[at : chain.first], self.made[chain]]
            at = chain.last + 1
        return (*calls, *self.calls[at:])

    def needs(self, chains: Sequence[Chain]) -> list[int]:
        """Bytes that each call needs."""
        calls = self.build(chains)
        buffers = make_buffers(self.graph, calls, self.keep_inputs)
        return [needed(buffers, time) for time in range(len(calls))]

    def improved(self, chains: tuple[Chain, ...], most: int) -> tuple[Chain, ...] | None:
        """With one more chain, so that fewer calls need `most`; None where no chain helps."""
        needs, built = self.needs(chains), self.build(chains)
        busy = needs.index(most)
        names = {part.node.name for part in built[busy].parts}
        times = [i for i, call in enumerate(self.calls) if call.node.name in names]
        best: tuple[int, int, float] = (sum(need >= most for need in needs), 0, 0.0)
        found = None
        for first, last in self._around(times[0], times[-1]):
            kept = [c for c in chains if c.last < first or c.first > last]
            if any(c.first < first or c.last > last for c in chains if c not in kept):
                continue
            tried = tuple(sorted([*kept, Chain(first, last)], key=lambda c: c.first))
            after = self.needs(tried)
            chain = self.made[Chain(first, last)]
            score = (sum(need >= most for need in after), after[[c.node.name for c in self.build(tried)].index(chain.node.name)],
                     chain.cycles)  # fmt: skip
            if score[0] < best[0] or (found is not None and score < best):
                best, found = score, tried
        return found

    def _around(self, first: int, last: int) -> Iterator[tuple[int, int]]:
        for begin in range(max(0, last - _LONGEST + 1), first + 1):
            for end in range(last, min(len(self.calls), begin + _LONGEST)):
                if end > begin and (begin, end) != (first, last) and all(self.joined[begin:end]):
                    yield begin, end


def _by_rows(call: Call) -> bool:
    return call.kernel.by_rows and image(call.node.type.shape)[0] > 1


def _swap_kernels(graph: Graph, calls: tuple[Call, ...], most: int, keep_inputs: bool) -> tuple[Call, ...]:
    """The fastest kernels with which no call needs more than `most`."""
    done = list(calls)
    for time, call in enumerate(calls):
        for better in _faster(call):
            tried = [*done[:time], better, *done[time + 1 :]]
            if needed(make_buffers(graph, tried, keep_inputs), time) <= most:
                done = tried
                break
    return tuple(done)


def _faster(call: Call) -> Iterator[Call]:
    """The call with faster kernels, fastest first; of a chain all parts together, then one after the other."""
    if not call.kernel.parts:
        for kernel in kernels_for(call.node, call.sources):
            if kernel.cycles(call.node, call.sources) < call.cycles:
                yield replace(call, kernel=kernel)
        return
    best = [next((each for each in _faster(part) if each.kernel.by_rows), part) for part in call.parts]
    yield _rebuilt(call, best)
    gains = sorted(range(len(best)), key=lambda i: best[i].cycles - call.parts[i].cycles)
    for count in range(len(best) - 1, 0, -1):
        yield _rebuilt(call, [best[i] if i in gains[:count] else part for i, part in enumerate(call.parts)])


def _rebuilt(call: Call, parts: Sequence[Call]) -> Call:
    assert isinstance(call.kernel, RowFused)
    return fuse_rows(parts, call.kernel.band)
