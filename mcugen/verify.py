"""Compares an engine with the reference, and the reference with QKeras, layer by layer, integer by integer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from mcugen.interpret import decode
from mcugen.ir import Array, Float, Graph
from mcugen.numerics.exactness import promised
from mcugen.simplify.dead_channels import kept


@dataclass(frozen=True)
class Difference:
    """The first value that differs: layer, image, index in the tensor, what was expected and what came."""

    layer: str
    image: int
    index: tuple[int, ...]
    expected: float
    actual: float

    def __str__(self) -> str:
        where = ", ".join(map(str, self.index))
        return f"{self.layer}[{where}] of image {self.image}: expected {self.expected:.9g}, got {self.actual:.9g}"


@dataclass(frozen=True)
class LayerResult:
    """Comparison of one tensor. `promised`: theory says equal; `worst_lsb`: largest difference in output steps."""

    layer: str
    values: int
    differing: int
    worst_lsb: float
    promised: bool


@dataclass(frozen=True)
class Verification:
    """`against_qkeras` is None where TensorFlow is not installed or was not asked for."""

    engine: str
    images: int
    against_reference: tuple[LayerResult, ...]
    against_qkeras: tuple[LayerResult, ...] | None
    first_difference: Difference | None
    first_from_qkeras: Difference | None
    cosine: float | None

    @property
    def passed(self) -> bool:
        """The engine equals the reference everywhere, and the reference QKeras wherever that is promised."""
        broken = [row for row in self.against_qkeras or () if row.promised and row.differing]
        return self.first_difference is None and not broken

    def json(self) -> dict[str, Any]:
        """The whole comparison; the first keys sum it up."""
        keras = self.against_qkeras
        return {
            "passed": self.passed,
            "values": sum(row.values for row in self.against_reference),
            "differing": sum(row.differing for row in self.against_reference),
            "differing_from_qkeras": None if keras is None else sum(row.differing for row in keras),
            **asdict(self),
        }


def verify(
    graph: Graph,
    engine: str,
    reference: Mapping[str, Array],
    actual: Mapping[str, Array],
    golden: Mapping[str, Float] | None,
) -> Verification:
    """reference: all tensors' codes; actual: those that the engine gave; golden: float32 by Keras layer name."""
    sure, order = promised(graph), [node.name for node in graph.nodes]
    engine_rows, first = _compare(graph, order, reference, actual, sure, as_values=False)
    keras_rows, first_keras, cosine = None, None, None
    if golden is not None:
        golden = {name: kept(graph[name], full) if name in graph.by_name else full for name, full in golden.items()}
        values = {name: decode(reference[name], graph[name].type) for name in order if name in golden}
        keras_rows, first_keras = _compare(graph, order, golden, values, sure, as_values=True)
        cosine = _cosine(graph, values, golden)
    images = next(iter(reference.values())).shape[0]
    return Verification(engine, images, engine_rows, keras_rows, first, first_keras, cosine)


def _compare(
    graph: Graph,
    order: Sequence[str],
    expected: Mapping[str, Array],
    actual: Mapping[str, Array],
    sure: frozenset[str],
    as_values: bool,
) -> tuple[tuple[LayerResult, ...], Difference | None]:
    rows, first = [], None
    for name in order:
        if name not in expected or name not in actual or graph[name].op == "input":
            continue
        want, got = expected[name].reshape(actual[name].shape), actual[name]
        unequal = want != got
        kind = graph[name].type
        step = kind.scale if as_values and kind.kind == "int" else 1.0
        worst = float(np.abs(want.astype(np.float64) - got).max(initial=0) / step)
        rows.append(LayerResult(name, int(want.size), int(unequal.sum()), worst, name in sure))
        if first is None and unequal.any():
            at = tuple(int(i) for i in np.argwhere(unequal)[0])
            first = Difference(name, at[0], at[1:], float(want[at]), float(got[at]))
    return tuple(rows), first


def _cosine(graph: Graph, values: Mapping[str, Float], golden: Mapping[str, Float]) -> float | None:
    """Smallest cosine between an output vector and QKeras's."""
    smallest = None
    for name in graph.outputs:
        if name in values:
            a = values[name].reshape(values[name].shape[0], -1).astype(np.float64)
            b = golden[name].reshape(a.shape).astype(np.float64)
            norms = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
            cosines = np.where(norms > 0, (a * b).sum(axis=1) / np.where(norms > 0, norms, 1), 1.0)
            smallest = min(float(cosines.min()), smallest if smallest is not None else 1.0)
    return smallest
