"""The float network of the same weights: no multi-bit quantizer rounds, computed in NumPy float32.

What the network learned as its nonlinearities stays: activations keep the range at which their quantizer saturates,
and binary and ternary quantizers keep their levels. Multi-bit weights are the trained float weights. Only nodes whose
attribute "rounds" is true quantize (`mcugen.sensitivity` sets it).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import numpy as np

from mcugen.errors import McugenError
from mcugen.ir import Array, Float, Graph, Node, TensorType
from mcugen.load import load
from mcugen.normalise import normalise
from mcugen.numerics.epilogue import Step, evaluate
from mcugen.ops import OPERATORS
from mcugen.ops.windows import windows
from mcugen.quantizers import Quantizer

KEPT = ("binary", "stochastic_binary", "ternary", "stochastic_ternary")
_BATCH = 4


def float_twin(path: Path | str) -> Callable[[Sequence[Float]], list[Float]]:
    """Loads a model and returns its float network: inputs (N, ...) to outputs (N, ...), float32.

    Raises:
        McugenError: the model is refused, or holds a quantizer that has no float counterpart.
    """
    return partial(run_float, normalise(load(path)))


def run_float(graph: Graph, inputs: Sequence[Float]) -> list[Float]:
    """Runs a graph as `normalise` made it: inputs (N, ...) to outputs (N, ...), float32."""
    parts = [_run(graph, [x[i : i + _BATCH] for x in inputs]) for i in range(0, inputs[0].shape[0], _BATCH)]
    return [np.concatenate([part[k] for part in parts]) for k in range(len(graph.outputs))]


def _run(graph: Graph, inputs: Sequence[Float]) -> list[Float]:
    values: dict[str, Array] = dict(zip(graph.inputs, inputs, strict=True))
    by_name = graph.by_name
    for node in graph.nodes:
        if node.op != "input":
            sources = [by_name[name].type for name in node.inputs]
            found = _compute(node, sources, [values[name] for name in node.inputs])
            values[node.name] = found.astype(np.float32).reshape(-1, *node.type.shape)
    return [values[name] for name in graph.outputs]


def _compute(node: Node, sources: Sequence[TensorType], inputs: Sequence[Array]) -> Array:
    if node.op in ("conv2d", "depthwise"):
        return _sums(node, sources[0], inputs[0])
    if node.op == "avgpool":
        mean: Array = windows(inputs[0], node, node.attrs["size"], sources[0]).mean(axis=(3, 4))
        return mean
    if node.op == "map":
        return _steps(node.attrs["epilogue"].steps, inputs, node.attrs.get("rounds", False))
    return OPERATORS[node.op].reference(node, sources, inputs)


def _sums(node: Node, source: TensorType, x: Array) -> Array:
    kernel: Float = node.attrs["kernel"]
    quantizer: Quantizer | None = node.attrs["quantizer"]
    if quantizer is not None and (quantizer.kind in KEPT or node.attrs.get("rounds")):
        kernel = quantizer.weights(kernel).values
    kh, kw, depth, count = kernel.shape
    view = windows(x, node, (kh, kw), source)
    if node.op == "depthwise":
        summed: Array = view[:, :, :, 0, 0, :, None] * kernel[0, 0]
        for y, x in list(np.ndindex(kh, kw))[1:]:
            summed += view[:, :, :, y, x, :, None] * kernel[y, x]
        return summed
    groups = node.attrs["groups"]
    columns = view.reshape(*view.shape[:3], kh * kw, groups, depth)
    each = count // groups
    parts = [
        columns[..., g, :].reshape(-1, kh * kw * depth) @ kernel[..., g * each : (g + 1) * each].reshape(-1, each)
        for g in range(groups)
    ]
    return np.concatenate(parts, axis=-1)


def _steps(steps: Sequence[Step], inputs: Sequence[Array], rounds: bool) -> Array:
    v: Array = inputs[0]
    for step in steps:
        v = _quantizer(step, v, rounds) if step.kind == "quantize" else evaluate([step], v, inputs[1:])
    return v


def _quantizer(step: Step, v: Array, rounds: bool) -> Array:
    quantizer = step.quantizer
    assert isinstance(quantizer, Quantizer)
    if rounds or quantizer.kind in KEPT:
        return quantizer.dequantize(quantizer.codes(v))
    if quantizer.linear:
        unit = np.float32(quantizer.step)
        return np.clip(v, np.float32(quantizer.lo) * unit, np.float32(quantizer.hi) * unit)
    fact = f"{quantizer.kind} has no float counterpart"
    raise McugenError("float network", fact, "compare with QKeras instead (--against qkeras)")
