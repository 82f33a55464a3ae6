"""The experiments: single blocks and mixtures of bits, run in many processes, scored against the float network."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from mcugen.errors import McugenError
from mcugen.float_twin import run_float
from mcugen.inputs import to_float
from mcugen.ir import Array, Float, Graph
from mcugen.metrics.embeddings import Flags, Indices, check_embeddings, cosine_scores
from mcugen.metrics.fidelity import fidelity
from mcugen.metrics.verification import k_fold_accuracy
from mcugen.quantise import InputGrid
from mcugen.sensitivity.blocks import Block, weight_bits, with_bits

Bits = Mapping[str, int]
Run = Callable[[Sequence[Bits]], Iterable[Float]]


@dataclass(frozen=True)
class Pairs:
    """Verification pairs as rows of the embeddings, with truth and fold (P,)."""

    first: Indices
    second: Indices
    same: Flags
    fold: Indices


@dataclass(frozen=True)
class Score:
    """Verification accuracy (None without pairs), mean cosine with the float embeddings, SQNR in dB; None: no direction."""

    accuracy: float | None
    cosine: float | None
    sqnr_db: float | None

    @property
    def value(self) -> float:
        """What configurations are compared by: accuracy if there are pairs, else the cosine; 0 for no direction."""
        return (self.accuracy if self.accuracy is not None else self.cosine) or 0.0


@dataclass(frozen=True)
class Experiment:
    """Quantizing these inputs' embeddings: what one process needs, and what it is asked."""

    graph: Graph
    blocks: tuple[Block, ...]
    activations: bool
    grid: InputGrid

    def embed(self, inputs: Array, bits: Bits) -> Float:
        """Embeddings (N, D) of inputs (N, ...), float32 or uint8, with the named blocks quantized."""
        graph = with_bits(self.graph, self.blocks, bits, self.activations)
        with np.errstate(over="ignore", invalid="ignore"):
            found = run_float(graph, [to_float(graph.name, inputs, self.grid)])[0]
        return found.reshape(len(inputs), -1)


@dataclass(frozen=True)
class Study:
    """All results: float, single blocks by (block, bits), mixtures by name with their bits."""

    blocks: tuple[Block, ...]
    float_score: Score
    single: Mapping[tuple[str, int], Score]
    mixed: Mapping[str, tuple[Bits, Score]]

    def footprint(self, name: str) -> int:
        """Packed bits of the weights of a mixture."""
        return weight_bits(self.blocks, self.mixed[name][0])

    @property
    def pareto(self) -> frozenset[str]:
        """Mixtures than which no other is both at most as large and at least as good, and better in one of the two."""
        points = {name: (self.footprint(name), -score.value) for name, (_, score) in self.mixed.items()}
        return frozenset(
            name
            for name, point in points.items()
            if not any(other != point and other[0] <= point[0] and other[1] <= point[1] for other in points.values())
        )

    def json(self) -> dict[str, Any]:
        """See `mcugen.sensitivity`."""
        return {
            "schema": "mcugen-sensitivity-1",
            "measure": "cosine" if self.float_score.accuracy is None else "accuracy",
            "blocks": [{"name": b.name, "weights": b.weights, "fixed_bits": b.fixed_bits} for b in self.blocks],
            "float": asdict(self.float_score),
            "single": [{"block": name, "bits": bits, **asdict(score)} for (name, bits), score in self.single.items()],
            "mixed": [
                {"name": name, "bits": dict(bits), "weight_bits": self.footprint(name), **asdict(score),
                 "pareto": name in self.pareto}
                for name, (bits, score) in self.mixed.items()
            ],
        }  # fmt: skip


def study(
    blocks: tuple[Block, ...],
    run: Run,
    pairs: Pairs | None,
    levels: Sequence[int],
    asked: Mapping[str, Bits],
    most: int,
    progress: Callable[[int, int], None] = lambda done, total: None,
    singles: bool = True,
) -> Study:
    """Each block alone at each of `levels` bits, then at most `most` mixtures on the way from many bits to few.

    Without `singles`, only the uniform and the asked mixtures.

    Args:
        run: embeddings of each configuration, in order; {} is the float network.
        asked: further mixtures by name.
        progress: called with (done, total) of the present stage.
    """
    free = [block for block in blocks if block.fixed_bits is None]
    alone = [(block.name, bits) for block in free for bits in levels] if singles else []
    found = _counted(run([{}, *({name: bits} for name, bits in alone)]), 1 + len(alone), progress)
    reference = next(found)
    check_embeddings(reference, [f"image {row + 1}" for row in range(len(reference))], "the float network")
    single = {key: score(reference, each, pairs) for key, each in zip(alone, found, strict=True)}
    mixtures = dict(asked) | uniform(free, levels) | (path(free, levels, single, most) if singles else {})
    rows = _counted(run(list(mixtures.values())), len(mixtures), progress)
    mixed = {name: (bits, score(reference, each, pairs)) for (name, bits), each in zip(mixtures.items(), rows, strict=True)}
    return Study(blocks, score(reference, reference, pairs), single, mixed)


def _counted(rows: Iterable[Float], total: int, progress: Callable[[int, int], None]) -> Iterator[Float]:
    for done, row in enumerate(rows, start=1):
        progress(done, total)
        yield row


def score(reference: Float, embeddings: Float, pairs: Pairs | None) -> Score:
    """One configuration's embeddings (N, D) against those of the float network."""
    try:
        check_embeddings(embeddings, [str(row) for row in range(len(embeddings))])
    except McugenError:
        return Score(None if pairs is None else 0.0, None, None)
    close = fidelity(reference, embeddings)
    accuracy = None
    if pairs is not None:
        cosines = cosine_scores(embeddings[pairs.first], embeddings[pairs.second])
        accuracy = k_fold_accuracy(cosines, pairs.same, pairs.fold).accuracy
    return Score(accuracy, close.cosine_mean, close.sqnr_db if np.isfinite(close.sqnr_db) else None)


def path(
    blocks: Sequence[Block], levels: Sequence[int], single: Mapping[tuple[str, int], Score], most: int
) -> dict[str, Bits]:
    """Mixtures by name: all blocks at the most bits, then step by step the cheapest reduction, until all have the fewest.

    Cheapest: least loss of cosine, measured alone, for each weight bit saved. Every uniform mixture is among them; of
    the others evenly many are left out where there are more than `most`.
    """
    levels = sorted(levels, reverse=True)

    def price(block: Block, place: int) -> float:
        before, after = (single[block.name, levels[k]].cosine or 0.0 for k in (place, place + 1))
        return (before - after) / (block.weights * (levels[place] - levels[place + 1]))

    places = {block.name: 0 for block in blocks}
    steps = [dict(places)]
    while open_blocks := [block for block in blocks if places[block.name] + 1 < len(levels)]:
        places[min(open_blocks, key=lambda block: price(block, places[block.name])).name] += 1
        steps.append(dict(places))
    kept = np.unique(np.linspace(0, len(steps) - 1, max(2, min(len(steps), most - len(levels)))).round().astype(int))
    mixed = {f"step {k}": {name: levels[place] for name, place in steps[k].items()} for k in kept}
    same = uniform(blocks, levels)
    return same | {name: bits for name, bits in mixed.items() if bits not in same.values()}


def uniform(blocks: Sequence[Block], levels: Sequence[int]) -> dict[str, Bits]:
    """The mixtures that are none: all blocks with the same bits."""
    return {f"all {bits} bits": {block.name: bits for block in blocks} for bits in levels}
