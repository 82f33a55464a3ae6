"""Float graph -> integer graph: weights become codes, every tensor gets its grid, sums become exact integers.

After this step conv2d, depthwise and avgpool sum integers and their epilogue starts by scaling the sum to QKeras's
float32 value; maps start from a code's float32 value. `attrs` of the summing operators then hold "weights" (int64
codes, shape as the operator's file says), "weight_type" (a TensorType of kind int) and "acc_lo"/"acc_hi" (int64 per
output channel: the reachable sums).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from mcugen.epilogue import Epilogue, Step
from mcugen.errors import McugenError
from mcugen.ir import Array, Float, Graph, Int, Node, TensorType
from mcugen.ops import OPERATORS
from mcugen.quantizers import Quantizer


@dataclass(frozen=True)
class InputGrid:
    """Stands in for the quantizer of an input that has none: uint8 u means (u - offset) * scale."""

    scale: float = 1 / 128
    offset: int = 128

    def codes(self, x: Float) -> Int:
        """Nearest codes u - offset, int64 (ties to even), of float32 values."""
        return np.clip(np.rint(x.astype(np.float64) / self.scale), -self.offset, 255 - self.offset).astype(np.int64)


def quantise(graph: Graph, grid: InputGrid | None = None) -> Graph:
    """Types every tensor; refuses what has no integer meaning. `grid` describes inputs that the model leaves in float."""
    grid = grid or InputGrid()
    graph = _fold_pads(graph)
    done: dict[str, Node] = {}
    alias: dict[str, str] = {}
    users = graph.users()
    for node in graph.nodes:
        node = node.but(inputs=tuple(alias.get(name, name) for name in node.inputs))
        if node.name in alias:
            continue
        if node.op == "input":
            node, absorbed = _quantise_input(node, [graph[name] for name in users[node.name]], grid, graph.outputs)
            alias.update(dict.fromkeys(absorbed, node.name))
        else:
            node = _quantise_node(node, [done[name].type for name in node.inputs])
        done[node.name] = node
    outputs = tuple(alias.get(name, name) for name in graph.outputs)
    return replace(graph, nodes=tuple(done.values()), outputs=outputs)


def _quantise_input(node: Node, users: list[Node], grid: InputGrid, outputs: tuple[str, ...]) -> tuple[Node, list[str]]:
    """An input whose users all quantize it alike takes their codes; those users vanish."""
    quantizers = [user.attrs["epilogue"].quantizer if user.op == "map" else None for user in users]
    first = quantizers[0] if quantizers else None
    alone = all(len(user.attrs["epilogue"].steps) == 1 for user in users if user.op == "map")
    if first is not None and alone and all(q == first for q in quantizers):
        return node.but(type=_grid_type(node.type, first), attrs={"quantizer": first}), [user.name for user in users]
    kind = replace(node.type, kind="int", lo=-grid.offset, hi=255 - grid.offset, scale=float(np.float32(grid.scale)))
    return node.but(type=kind, attrs={"quantizer": grid}), []


def _grid_type(like: TensorType, quantizer: Quantizer) -> TensorType:
    layout = "words" if quantizer.bipolar else "hwc"
    return TensorType(like.shape, "int", quantizer.lo, quantizer.hi, quantizer.step, quantizer.bipolar, layout)


def _quantise_node(node: Node, sources: list[TensorType]) -> Node:
    if node.op in ("conv2d", "depthwise"):
        return _quantise_weights(node, sources[0])
    if node.op == "avgpool":
        return _quantise_average(node, sources[0])
    if node.op == "map":
        return _quantise_map(node, sources)
    return node.but(type=OPERATORS[node.op].infer(node, sources))


def _quantise_weights(node: Node, source: TensorType) -> Node:
    layer = node.name.partition("/")[0]
    if source.kind != "int":
        raise McugenError(layer, "its input is not quantized", "put a QActivation (for example quantized_bits) before it")
    quantizer: Quantizer | None = node.attrs["quantizer"]
    if quantizer is None:
        raise McugenError(layer, "its weights are not quantized", "use the QKeras layer with a kernel quantizer")
    found = quantizer.weights(node.attrs["kernel"])
    codes = found.codes.astype(np.int64)
    weight_type = TensorType(codes.shape, "int", found.lo, found.hi, 1.0, found.bipolar)
    channels = node.type.channels
    scale = np.broadcast_to(np.asarray(found.scale, np.float32), _scale_shape(node, codes)).reshape(-1)
    total = (np.float32(source.scale) * scale).astype(np.float32)
    attrs = {key: value for key, value in node.attrs.items() if key not in ("kernel", "quantizer")}
    attrs |= {"weights": codes, "weight_type": weight_type}
    attrs["epilogue"] = Epilogue((Step("mul", total if np.ptp(total) else total[:1].reshape(())),))
    lo, hi = OPERATORS[node.op].bounds(codes, source)
    if max(-int(lo.min()), int(hi.max())) >= 1 << 31:
        raise McugenError(layer, "its sums overflow 32 bits", "use fewer bits or fewer inputs a sum")
    assert lo.shape == (channels,)
    return node.but(attrs={**attrs, "acc_lo": lo, "acc_hi": hi})


def _scale_shape(node: Node, codes: Array) -> tuple[int, ...]:
    """The part of a kernel's shape that one scale an output channel spans."""
    return (1, 1, *codes.shape[2:]) if node.op == "depthwise" else (1, 1, 1, codes.shape[3])


def _quantise_average(node: Node, source: TensorType) -> Node:
    layer = node.name
    if source.kind != "int" or source.bipolar:
        raise McugenError(layer, "it averages values that are not on an integer grid", "put a QActivation before it")
    if any(node.attrs["pads"]):
        raise McugenError(layer, "average pooling with padding is not supported", "use padding='valid'")
    count = int(np.prod(node.attrs["size"]))
    steps = (Step("mul", np.float32(source.scale)), Step("div", np.float32(count)))
    bounds = {"acc_lo": np.full(source.channels, source.lo * count), "acc_hi": np.full(source.channels, source.hi * count)}
    return node.but(attrs={**node.attrs, "epilogue": Epilogue(steps), **bounds})


def _quantise_map(node: Node, sources: list[TensorType]) -> Node:
    """Starts from the float operand where the first two commute, so that it can follow its producer's sum."""
    epilogue: Epilogue = node.attrs["epilogue"]
    inputs, first = node.inputs, epilogue.steps[0]
    commutes = first.kind in ("add_tensor", "mul_tensor") and first.operand == 1
    if commutes and sources[0].kind == "int" and sources[1].kind == "float":
        inputs, sources = (inputs[1], inputs[0], *inputs[2:]), [sources[1], sources[0], *sources[2:]]
    steps = epilogue.steps
    if sources[0].kind == "int":
        steps = (Step("mul", np.float32(sources[0].scale)), *steps)
    kind = node.type if epilogue.quantizer is None else _grid_type(node.type, epilogue.quantizer)
    return node.but(inputs=inputs, type=kind, attrs={**node.attrs, "epilogue": Epilogue(steps)})


def _fold_pads(graph: Graph) -> Graph:
    """Zero padding before convolutions only becomes the convolutions' own padding."""
    users = graph.users()
    folded = {
        node.name: node
        for node in graph.nodes
        if node.op == "pad"
        and node.name not in graph.outputs
        and all(graph[user].op in ("conv2d", "depthwise") for user in users[node.name])
    }
    nodes: list[Node] = []
    for node in graph.nodes:
        pad = folded.get(node.inputs[0]) if node.inputs else None
        if node.name in folded:
            continue
        if pad is not None:
            pads = tuple(a + b for a, b in zip(pad.attrs["pads"], node.attrs["pads"], strict=True))
            node = node.but(inputs=(pad.inputs[0],), attrs={**node.attrs, "pads": pads})
        nodes.append(node)
    return replace(graph, nodes=tuple(nodes))
