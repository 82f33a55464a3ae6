"""Where integers can equal QKeras's float32 bit for bit, and the reason where that cannot be promised."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from mcugen.ir import Graph, Node
from mcugen.numerics.align import EXACT, Align
from mcugen.numerics.epilogue import Epilogue, Fixed, Step
from mcugen.numerics.ranges import Range, follow, of_sums, of_type, power_of_two
from mcugen.numerics.step_table import float_to_ordered, ordered_to_float
from mcugen.quantizers import Quantizer, activations

FLOAT32_INTEGERS = EXACT
# Quantizers whose result is not x + (q - x), or whose x is clipped to the grid first.
_WITHOUT_SUM = ("quantized_tanh", "quantized_sigmoid", "quantized_ulaw")


def doubts(graph: Graph) -> Mapping[str, tuple[str, ...]]:
    """For every node why it may differ from QKeras, its inputs being equal; an empty tuple means it cannot."""
    ranges: dict[str, Range | None] = {}
    found = {}
    for node in graph.nodes:
        before = range_before_codes(node, graph, ranges)
        ranges[node.name] = of_type(node.type) if node.type.kind == "int" else before
        stages = [(quantizer, range_before_codes(cut, graph, ranges)) for quantizer, cut in _inner_quantizers(node)]
        found[node.name] = tuple(_doubts(node, [*stages, (_quantizer(node), before)]))
    return found


def promised(graph: Graph) -> frozenset[str]:
    """Nodes that equal QKeras in the golden environment: neither they nor anything before them is in doubt."""
    own, good = doubts(graph), set[str]()
    for node in graph.nodes:
        if not own[node.name] and all(source in good for source in node.inputs):
            good.add(node.name)
    return frozenset(good)


def range_before_codes(node: Node, graph: Graph, ranges: Mapping[str, Range | None]) -> Range | None:
    """The values that a node's quantizer sees, or that it stores in float; None where they are not known."""
    if "epilogue" not in node.attrs:
        return _together([ranges[name] for name in node.inputs]) if node.op != "curve" else None
    first = graph[node.inputs[0]].type
    start = of_sums(node) if "acc_lo" in node.attrs else ranges[node.inputs[0]]
    if "acc_lo" not in node.attrs and first.kind == "int":
        start = Range(np.array([float(first.lo)]), np.array([float(first.hi)]), 1.0)
    others = [ranges[name] for name in node.inputs[1:]]
    epilogue: Epilogue = node.attrs["epilogue"]
    return None if start is None else follow(epilogue.steps, start, others)


def _inner_quantizers(node: Node) -> list[tuple[object, Node]]:
    """Quantizers whose codes are not stored, each with the node as it is before them."""
    steps = node.attrs["epilogue"].steps if "epilogue" in node.attrs else ()
    at = [i for i, step in enumerate(steps) if step.kind == "codes"]
    return [(steps[i].quantizer, node.but(attrs={**node.attrs, "epilogue": Epilogue(steps[:i])})) for i in at]


def _together(found: Sequence[Range | None]) -> Range | None:
    """One range for all channels of several tensors and zero padding; None where one of them is not known."""
    known = [each for each in found if each is not None]
    if len(known) < len(found) or not known:
        return None
    ends = [np.array([min(0.0, *(float(each.lo.min()) for each in known))])]
    ends.append(np.array([max(0.0, *(float(each.hi.max()) for each in known))]))
    return Range(ends[0], ends[1], None)


def _doubts(node: Node, quantizers: Sequence[tuple[object, Range | None]]) -> list[str]:
    """quantizers: each with the range of what it sees."""
    found = []
    if node.type.kind == "int" and not power_of_two(node.type.scale):
        found.append(f"its step {node.type.scale:.6g} is no power of two")
    if node.op == "curve":
        found.append(f"{node.attrs['curve']} is computed with the device's own float32 functions")
    if "lent" in node.attrs:
        found.append("its weights are float in the model and are quantized on request")
    if "acc_lo" in node.attrs:
        epilogue: Epilogue = node.attrs["epilogue"]
        scale = next(step for step in epilogue.steps if step.kind == "mul").constant
        if not all(power_of_two(float(s)) for s in np.atleast_1d(scale)):
            found.append("its weight scale is no power of two, so QKeras's sums round")
        elif _largest(node) >= FLOAT32_INTEGERS:
            found.append(f"sums up to {_largest(node):,} exceed float32's exact integers (2^24)")
    for quantizer, before in quantizers:
        if isinstance(quantizer, Quantizer):
            found += _quantizer_doubts(quantizer, before)
    return found


def _quantizer(node: Node) -> object:
    epilogue: Epilogue | None = node.attrs.get("epilogue")
    return node.attrs.get("quantizer") if epilogue is None else epilogue.quantizer


def _quantizer_doubts(quantizer: Quantizer, before: Range | None) -> list[str]:
    found = []
    if _returns_sum(quantizer) and before is not None and before.largest >= EXACT * quantizer.step:
        fact = f"values up to {before.largest:.3g} reach {quantizer.kind}, whose sum x + (q - x) is exact below 2^24 steps"
        found.append(f"{fact} ({EXACT * quantizer.step:.3g})")
    if _place_matters(quantizer):
        found.append(f"TensorFlow's {quantizer.kind} rounds differently in the last elements of a tensor")
    return found


def _returns_sum(quantizer: Quantizer) -> bool:
    if quantizer.kind == "quantized_relu":
        return not quantizer.args["is_quantized_clip"] or bool(quantizer.args["negative_slope"])
    saturated = quantizer.kind.removeprefix("stochastic_") in ("binary", "ternary") and quantizer.args["alpha"] is None
    return quantizer.kind not in _WITHOUT_SUM and not saturated


def _place_matters(quantizer: Quantizer) -> bool:
    """Whether TensorFlow's code for the last elements of a tensor gives other codes within 32 floats of any border."""
    table = Step("quantize", quantizer=quantizer).table
    real = quantizer.kind == "quantized_sigmoid" and quantizer.args["use_real_sigmoid"]
    if table is None or not (quantizer.kind.endswith("po2") or real):
        return False
    near = float_to_ordered(table.breakpoints)[:, None] + np.arange(-32, 33)
    x = ordered_to_float(near.ravel())
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        last = [activations.codes(quantizer.kind, quantizer.args, quantizer.lo, each, tails=True) for each in x[:, None]]
    return not np.array_equal(quantizer.codes(x), np.concatenate(last))


def _largest(node: Node) -> int:
    return max(-int(node.attrs["acc_lo"].min()), int(node.attrs["acc_hi"].max()))


def proof(node: Node) -> tuple[int, int] | None:
    """(channels proved equal in integers, all channels); the others compute QKeras's own float32 steps."""
    epilogue: Epilogue | None = node.attrs.get("epilogue")
    if epilogue is None or epilogue.quantizer is None or isinstance(epilogue.quantizer, Align):
        return None
    channels = node.type.channels
    if epilogue.form is None:
        return 0, channels
    if isinstance(epilogue.form, Fixed):
        return int(np.broadcast_to(epilogue.form.proved, (channels,)).sum()), channels
    return channels, channels
