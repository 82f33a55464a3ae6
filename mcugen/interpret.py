"""The meaning of an integer graph: NumPy, operator by operator, no C involved."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from mcugen.errors import McugenError
from mcugen.ir import Array, Float, Graph, TensorType
from mcugen.ops import OPERATORS
from mcugen.ops.base import to_value

_BATCH = 16


def encode_inputs(graph: Graph, inputs: Sequence[Float]) -> list[Array]:
    """float32 inputs (N, ...) of the model, one array an input, to int64 codes; shapes are checked."""
    if len(inputs) != len(graph.inputs):
        raise McugenError("inputs", f"{len(inputs)} arrays for {len(graph.inputs)} inputs", "give one array an input")
    codes = []
    for name, values in zip(graph.inputs, inputs, strict=True):
        node = graph[name]
        if values.shape[1:] != node.type.shape:
            fact = f"the array is {values.shape}, the model takes (N, {', '.join(map(str, node.type.shape))})"
            remedy = "save it as x[None], a batch of one" if values.shape == node.type.shape else "reshape or crop the array"
            raise McugenError(f"input {name}", fact, remedy)
        if not np.isfinite(values).all():
            raise McugenError(f"input {name}", "the array holds NaN or infinity", "clean the array")
        codes.append(node.attrs["quantizer"].codes(values.astype(np.float32)))
    return codes


def interpret(graph: Graph, inputs: Sequence[Array], keep: bool = False) -> dict[str, Array]:
    """Runs codes (N, ...) through the graph; returns the outputs' codes or floats by name (all tensors if `keep`)."""
    count = inputs[0].shape[0]
    parts = [_run(graph, [x[i : i + _BATCH] for x in inputs], keep) for i in range(0, count, _BATCH)]
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def _run(graph: Graph, inputs: Sequence[Array], keep: bool) -> dict[str, Array]:
    by_name, last = graph.by_name, _last_use(graph)
    values: dict[str, Array] = dict(zip(graph.inputs, inputs, strict=True))
    for node in graph.nodes:
        if node.op != "input":
            sources = [by_name[name].type for name in node.inputs]
            values[node.name] = OPERATORS[node.op].reference(node, sources, [values[name] for name in node.inputs])
        if not keep:
            for name in node.inputs:
                if last[name] == node.name and name not in graph.outputs:
                    values.pop(name, None)
    return values if keep else {name: values[name] for name in graph.outputs}


def _last_use(graph: Graph) -> Mapping[str, str]:
    return {source: node.name for node in graph.nodes for source in node.inputs}


def decode(codes: Array, kind: TensorType) -> Float:
    """float32 values of a tensor's codes."""
    return to_value(codes, kind).astype(np.float32)

