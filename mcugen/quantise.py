"""Float graph -> integer graph: weights become codes, every tensor gets its grid, sums become exact integers.

After this step conv2d, depthwise and avgpool sum integers and their epilogue starts by scaling the sum to QKeras's
float32 value; maps start from a code's float32 value. `attrs` of the summing operators then hold "weights" (int64
codes, shape as the operator's file says), "weight_type" (a TensorType of kind int) and "acc_lo"/"acc_hi" (int64 per
output channel: the reachable sums). Sums that nothing quantizes become codes too where float32 holds them exactly and
an integer operator or the outside world reads them (`mcugen.numerics.align`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from mcugen.errors import McugenError
from mcugen.ir import Array, Float, Graph, Int, Node, TensorType
from mcugen.numerics.align import EXACT, SAFE, Align
from mcugen.numerics.epilogue import Epilogue, Step
from mcugen.numerics.ranges import Range, follow, of_sums, of_type, power_of_two
from mcugen.ops import OPERATORS
from mcugen.ops.windows import windows
from mcugen.quantizers import Quantizer, parse

SUMMING = ("conv2d", "depthwise", "avgpool")
MOVING = ("maxpool", "reshape", "pad", "resize", "permute", "concat")
NOT_QUANTIZED = "use the QKeras layer with a kernel quantizer, or --plain-weights"
NOT_INTEGER = "put a QActivation (for example quantized_bits) before it"


@dataclass(frozen=True)
class InputGrid:
    """Stands in for quantizers that the model lacks: of an input, uint8 u means (u - offset) * scale; of weights, `weights`."""

    scale: float = 1 / 128
    offset: int = 128
    weights: Quantizer | None = field(default=None, compare=False)

    def __str__(self) -> str:
        low, high = -self.offset * self.scale, (255 - self.offset) * self.scale
        return f"uint8 u for (u - {self.offset}) * {self.scale:g}, {low:g} to {high:g}"

    def json(self) -> dict[str, Any]:
        """For a file; `from_json` reads it."""
        weights = None if self.weights is None else {"class_name": self.weights.kind, "config": dict(self.weights.args)}
        return {"scale": self.scale, "offset": self.offset, "weights": weights}

    @staticmethod
    def from_json(data: Mapping[str, Any]) -> InputGrid:
        return InputGrid(float(data["scale"]), int(data["offset"]), parse(data["weights"], "--plain-weights"))

    def codes(self, x: Float) -> Int:
        """Nearest codes u - offset, int64 (ties to even), of float32 values."""
        return np.clip(np.rint(x.astype(np.float64) / self.scale), -self.offset, 255 - self.offset).astype(np.int64)


def quantise(graph: Graph, grid: InputGrid | None = None) -> Graph:
    """Types every tensor; refuses what has no integer meaning. `grid` describes inputs that the model leaves in float."""
    return _Quantiser(_fold_pads(graph), grid or InputGrid()).run()


class _Quantiser:
    """One walk through the graph; nodes that align grids are inserted on the way."""

    def __init__(self, graph: Graph, grid: InputGrid) -> None:
        self.graph, self.grid, self.users, self.by_name = graph, grid, graph.users(), graph.by_name
        self.done: dict[str, Node] = {}
        self.alias: dict[str, str] = {}
        self.ranges: dict[str, Range | None] = {}

    def run(self) -> Graph:
        for node in self.graph.nodes:
            if node.name in self.alias:
                continue
            node = node.but(inputs=tuple(self.alias.get(name, name) for name in node.inputs))
            if node.op == "input":
                users = [self.by_name[name] for name in self.users[node.name]]
                node, absorbed = _quantise_input(node, users, self.grid)
                self.alias.update(dict.fromkeys(absorbed, node.name))
                for name in absorbed:
                    self.users[node.name] = self.users[node.name] + self.users[name]
            else:
                node = self.typed(node)
            self.add(node)
        outputs = tuple(self.alias.get(name, name) for name in self.graph.outputs)
        if all(node.op in ("input", "reshape") for node in self.done.values()):
            raise McugenError(self.graph.name, "the model computes nothing but the quantization of its input", "add layers")
        return replace(self.graph, nodes=tuple(self.done.values()), outputs=outputs)

    def add(self, node: Node) -> Node:
        self.done[node.name] = node
        self.ranges[node.name] = self.range_of(node) if node.type.kind == "float" else of_type(node.type)
        return node

    def sources(self, node: Node) -> list[TensorType]:
        return [self.done[name].type for name in node.inputs]

    def typed(self, node: Node) -> Node:
        if node.op in ("conv2d", "depthwise"):
            return self.settled(_quantise_weights(node, self.sources(node)[0], self.grid.weights))
        if node.op == "avgpool":
            node = self.without_bits(node)
            return self.settled(_quantise_average(node, self.sources(node)[0]))
        if node.op == "map":
            return self.settled(_quantise_map(node, self.sources(node)))
        if node.op == "pad":
            node = self.without_bits(node)
        elif node.op == "concat":
            node = self.on_one_grid(node)
        elif node.op == "curve":
            node = node.but(inputs=(self.as_float(node, 0),))
        return node.but(type=OPERATORS[node.op].infer(node, self.sources(node)))

    def settled(self, node: Node) -> Node:
        """The node with its float sums as codes, where float32 holds them exactly and somebody wants integers."""
        if node.type.kind != "float" or not self.wanted(node.name):
            return node
        found = self.range_of(node)
        if found is None or found.step is None:
            return node
        limit = EXACT if power_of_two(found.step) else SAFE
        if found.largest >= limit * found.step or not math.isfinite(found.largest):
            return node
        lo, hi = (int(np.rint(end / found.step)) for end in (found.lo.min(), found.hi.max()))
        align = Align(min(lo, 0), max(hi, 0), found.step)
        epilogue: Epilogue = node.attrs["epilogue"]
        steps = (*epilogue.steps, Step("quantize", quantizer=align))
        return node.but(type=_grid_type(node.type, align), attrs={**node.attrs, "epilogue": Epilogue(steps)})

    def wanted(self, name: str) -> bool:
        """Whether an operator that sums reads this tensor, or nobody but the outside world does."""
        users = [self.by_name[user] for user in self.users[name]]
        direct = any(user.op in SUMMING or (user.op in MOVING and self.wanted(user.name)) for user in users)
        return direct or (not users and name in self.graph.outputs)

    def range_of(self, node: Node) -> Range | None:
        """The values of a float node, as far as intervals tell."""
        if "epilogue" not in node.attrs:
            return None
        start = of_sums(node) if node.op in SUMMING else self.ranges[node.inputs[0]]
        if node.op == "map" and start is not None and self.done[node.inputs[0]].type.kind == "int":
            kind = self.done[node.inputs[0]].type
            start = Range(np.array([float(kind.lo)]), np.array([float(kind.hi)]), 1.0)
        others = [self.ranges[name] for name in node.inputs[1:]]
        return None if start is None else follow(node.attrs["epilogue"].steps, start, others)

    def inserted(self, name: str, source: str, *steps: Step) -> str:
        """A map of its own before a node that needs its input in another form."""
        node = Node(name, "map", (source,), replace(self.done[source].type, kind="float"), {"epilogue": Epilogue(steps)})
        node = _quantise_map(node.but(type=TensorType(self.done[source].type.shape, "float")), [self.done[source].type])
        return self.add(node).name

    def as_float(self, node: Node, index: int) -> str:
        source = node.inputs[index]
        return source if self.done[source].type.kind == "float" else self.inserted(f"{node.name}/value{index}", source)

    def as_codes(self, node: Node, index: int, step: float) -> str:
        """Input number `index` on the grid `step`, bits as integers."""
        source = node.inputs[index]
        kind = self.done[source].type
        if kind.scale == step and not kind.bipolar:
            return source
        factor = round(kind.scale / step)
        align = Align(kind.lo * factor, kind.hi * factor, step)
        return self.inserted(f"{node.name}/codes{index}", source, Step("quantize", quantizer=align))

    def without_bits(self, node: Node) -> Node:
        kind = self.sources(node)[0]
        return node.but(inputs=(self.as_codes(node, 0, kind.scale),)) if kind.bipolar else node

    def on_one_grid(self, node: Node) -> Node:
        """A concatenation whose inputs share a grid: the finest of theirs, else float."""
        kinds = self.sources(node)
        if len({(kind.kind, kind.scale, kind.bipolar) for kind in kinds}) == 1:
            return node
        every = range(len(kinds))
        step = min(kind.scale for kind in kinds)
        aligned = [max(-kind.lo, kind.hi) * kind.scale / step < EXACT for kind in kinds]
        tidy = len({kind.scale for kind in kinds}) == 1 or all(power_of_two(kind.scale) for kind in kinds)
        if all(kind.kind == "int" for kind in kinds) and all(aligned) and tidy:
            return node.but(inputs=tuple(self.as_codes(node, i, step) for i in every))
        return node.but(inputs=tuple(self.as_float(node, i) for i in every))


def _quantise_input(node: Node, users: list[Node], grid: InputGrid) -> tuple[Node, list[str]]:
    """An input whose users all quantize it alike takes their codes; those users vanish."""
    quantizers = [user.attrs["epilogue"].quantizer if user.op == "map" else None for user in users]
    first = quantizers[0] if quantizers else None
    alone = all(len(user.attrs["epilogue"].steps) == 1 for user in users if user.op == "map")
    if first is not None and alone and all(q == first for q in quantizers):
        return node.but(type=_grid_type(node.type, first), attrs={"quantizer": first}), [user.name for user in users]
    kind = replace(node.type, kind="int", lo=-grid.offset, hi=255 - grid.offset, scale=float(np.float32(grid.scale)))
    return node.but(type=kind, attrs={"quantizer": grid}), []


def _grid_type(like: TensorType, quantizer: Quantizer | Align) -> TensorType:
    if isinstance(quantizer, Quantizer) and quantizer.levels is not None:
        fact = f"the levels of {quantizer.kind} are no multiples of a step, so nothing can sum them as integers"
        raise McugenError(quantizer.layer, fact, "use quantized_bits or quantized_relu")
    return TensorType.of_codes(like.shape, quantizer.lo, quantizer.hi, quantizer.step, quantizer.bipolar)


def _quantise_weights(node: Node, source: TensorType, plain: Quantizer | None) -> Node:
    """`plain` quantizes weights that have no quantizer; None refuses them."""
    layer = node.name.partition("/")[0] if node.name.endswith(("/sum", "/depthwise")) else node.name
    quantizer: Quantizer | None = node.attrs["quantizer"] or plain
    if quantizer is None:
        raise McugenError(layer, "its weights are not quantized", NOT_QUANTIZED)
    if source.kind != "int":
        raise McugenError(layer, "its input is not quantized", NOT_INTEGER)
    found = quantizer.weights(node.attrs["kernel"])
    codes = found.codes.astype(np.int64)
    weight_type = TensorType(codes.shape, "int", found.lo, found.hi, 1.0, found.bipolar)
    scale = np.broadcast_to(np.asarray(found.scale, np.float32), _scale_shape(node, codes)).reshape(-1)
    total = (np.float32(source.scale) * scale).astype(np.float32)
    attrs = {key: value for key, value in node.attrs.items() if key not in ("kernel", "quantizer")}
    attrs |= {"weights": codes, "weight_type": weight_type} | ({} if node.attrs["quantizer"] else {"lent": True})
    attrs["epilogue"] = Epilogue((Step("mul", total if np.ptp(total) else total[:1].reshape(())),))
    lo, hi = OPERATORS[node.op].bounds(codes, source)
    if max(-int(lo.min()), int(hi.max())) >= 1 << 53:
        raise McugenError(layer, "its sums overflow 53 bits", "use fewer bits or fewer inputs a sum")
    assert lo.shape == (node.type.channels,)
    return node.but(attrs={**attrs, "acc_lo": lo, "acc_hi": hi})


def _scale_shape(node: Node, codes: Array) -> tuple[int, ...]:
    """The part of a kernel's shape that one scale an output channel spans."""
    return (1, 1, *codes.shape[2:]) if node.op == "depthwise" else (1, 1, 1, codes.shape[3])


def _quantise_average(node: Node, source: TensorType) -> Node:
    if source.kind != "int":
        raise McugenError(node.name.removesuffix("/average"), "its input is not quantized", NOT_INTEGER)
    area = int(np.prod(node.attrs["size"]))
    attrs = {**node.attrs, "acc_lo": np.full(source.channels, source.lo * area)}
    attrs["acc_hi"] = np.full(source.channels, source.hi * area)
    if max(-source.lo, source.hi) * area >= 1 << 31:
        raise McugenError(node.name, "its sums overflow 32 bits", "use fewer bits or a smaller window")
    division = Step("div", np.float32(area))
    if any(node.attrs["pads"]):
        ones = np.ones((1, *source.shape[:-1], 1), np.int64)
        counted = windows(ones, node, node.attrs["size"], replace(source, shape=(*source.shape[:-1], 1)))
        counts = counted.sum(axis=(3, 4)).reshape(*node.type.shape[:-1], 1)
        division = Step("div", np.float32(counts.max()))
        if np.ptp(counts):
            attrs["counts"], division = counts, Step("div_count")
    attrs["epilogue"] = Epilogue((Step("mul", np.float32(source.scale)), division))
    return node.but(attrs=attrs)


def _quantise_map(node: Node, sources: Sequence[TensorType]) -> Node:
    """Starts from the float operand where the first two commute, so that it can follow its producer's sum."""
    epilogue: Epilogue = node.attrs["epilogue"]
    inputs, steps = node.inputs, epilogue.steps
    commutes = bool(steps) and steps[0].kind in ("add_tensor", "mul_tensor") and steps[0].operand == 1
    if commutes and sources[0].kind == "int" and sources[1].kind == "float":
        inputs, sources = (inputs[1], inputs[0], *inputs[2:]), [sources[1], sources[0], *sources[2:]]
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
