"""What a user should know of a model: what is refused, inexact or float, what the file lost, which bits are wasted."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace

import numpy as np

from mcugen.errors import McugenError
from mcugen.ir import Graph, Layer, Network, Node
from mcugen.load import output_shapes
from mcugen.numerics.align import Align
from mcugen.numerics.epilogue import Epilogue, evaluate
from mcugen.numerics.exactness import doubts, proof
from mcugen.quantise import InputGrid
from mcugen.quantizers import Quantizer
from mcugen.simplify.dead_channels import dropped

MOST_REFUSALS = 25
STEP = re.compile(r"(.+)/step(\d+)/")  # names of mcugen/normalise/recurrent.py
GRID_REMEDY = "begin the model with a QActivation such as quantized_bits(8,0,1), or give --input-scale and --input-offset"
KEEP = "nothing needs to change; the result is exact"


@dataclass(frozen=True)
class Finding:
    """kind: "refused", "inexact", "lost", "rounded", "float" or "wasted"; the layer, the cause and the change that mends it."""

    kind: str
    layer: str
    cause: str
    remedy: str

    def json(self) -> dict[str, str]:
        return asdict(self)


def find(graph: Graph) -> list[Finding]:
    """Findings of an accepted model in the order of the graph."""
    why = doubts(graph)
    found: list[Finding] = []
    for node in graph.nodes:
        found += [Finding("inexact", node.name, cause, _remedy(cause)) for cause in why[node.name]]
        grid = node.attrs.get("quantizer")
        if isinstance(grid, InputGrid):
            cause = f"the model does not quantize this input; it is taken as {grid}"
            found.append(Finding("rounded", node.name, cause, GRID_REMEDY))
        found += _floats(node, graph)
        found += _wasted(node)
    return _by_layer(found)


def _by_layer(found: Sequence[Finding]) -> list[Finding]:
    """What is found inside the time steps of a recurrent layer becomes one finding of the layer for each cause."""
    groups: dict[tuple[str, ...], list[Finding]] = {}
    for each in found:
        layer, step = _place(each)
        cause = re.sub(r"\d+", "#", each.cause) if step else each.cause
        groups.setdefault((each.kind, layer, cause), []).append(each)
    return [_together(same) if _place(same[0])[1] else same[0] for same in groups.values()]


def _place(finding: Finding) -> tuple[str, str]:
    """The layer and, in a recurrent layer, the number of the time step."""
    match = STEP.match(finding.layer)
    return (match[1], match[2]) if match else (finding.layer, "")


def _together(same: Sequence[Finding]) -> Finding:
    first, steps = same[0], len({_place(each)[1] for each in same})
    cause = f"{first.cause} ({len(same)} time{'s' * (len(same) > 1)} inside {steps} time step{'s' * (steps > 1)})"
    remedy = KEEP if first.kind == "float" else first.remedy  # no layer fits inside a time step
    return Finding(first.kind, _place(first)[0], cause, remedy)


def refusals(network: Network, compile_network: Callable[[Network], Graph]) -> list[Finding]:
    """Every refusal, not only the first: a refused layer becomes an input, and the rest is tried again."""
    found: list[Finding] = []
    while len(found) < MOST_REFUSALS:
        try:
            compile_network(network)
            break
        except McugenError as error:
            names = [layer.name for layer in network.layers if layer.class_name != "InputLayer"]
            own = [name for name in names if error.node == name or error.node.startswith(f"{name}/")]
            if own or not found:
                found.append(Finding("refused", error.node, error.fact, error.remedy))
            if not own:
                break
            network = _cut(network, max(own, key=len))
            if not network.outputs:
                break
    return found


def _cut(network: Network, name: str) -> Network:
    """The network with a layer's output as a further input, and what it read as outputs."""
    shape = output_shapes(network)[name]
    read = next(layer.inputs for layer in network.layers if layer.name == name)
    outputs = tuple(dict.fromkeys(x for x in (*network.outputs, *read) if x != name and x not in network.inputs))
    layers = [Layer(name, "InputLayer", {"shape": shape}, ()) if x.name == name else x for x in network.layers]
    needed = set(outputs)
    for layer in reversed(layers):
        if layer.name in needed:
            needed.update(layer.inputs)
    kept = tuple(layer for layer in layers if layer.name in needed)
    inputs = tuple(layer.name for layer in kept if layer.class_name == "InputLayer")
    return replace(network, layers=kept, inputs=inputs, outputs=outputs)


def lost(network: Network) -> list[Finding]:
    """Settings of quantizers that QKeras 0.9.0 leaves out when it saves a model."""
    found = []
    for layer in network.layers:
        for key, quantizer in _quantizers(layer):
            args: Mapping[str, object] = quantizer.args
            if quantizer.kind == "quantized_relu" and args["relu_upper_bound"] and args["is_quantized_clip"]:
                cause = f"files do not keep is_quantized_clip, so relu_upper_bound={args['relu_upper_bound']:g} has no effect"
                remedy = "leave relu_upper_bound out, or give the layer before it ReLU(max_value=...)"
                found.append(Finding("lost", layer.name, f"{key}: {cause}", remedy))
            depthwise = layer.class_name.startswith("QDepthwise") and key == "depthwise_quantizer"
            if depthwise and isinstance(quantizer.as_kernel().args.get("alpha"), str):
                cause = "files do not keep scale_axis, so all channels of a depthwise kernel share one automatic scale"
                remedy = f"depthwise_quantizer={quantizer.kind}(..., alpha=1)"
                found.append(Finding("lost", layer.name, f"{key}: {cause}", remedy))
    return found


def _quantizers(layer: Layer) -> Iterator[tuple[str, Quantizer]]:
    for key, value in layer.config.items():
        if isinstance(value, Quantizer):
            yield key, value


def _remedy(cause: str) -> str:
    if "on request" in cause:
        return "use the QKeras layer with kernel_quantizer=... and train with it"
    if "weight scale" in cause:
        return "kernel_quantizer=quantized_bits(..., alpha='auto_po2'), or alpha=1"
    if "is no power of two" in cause:
        return "use a power of two for alpha in its activation quantizer: alpha=1"
    if "float32 functions" in cause:
        return "leave it out and take the largest output, or accept differences of about 1e-6"
    if "x + (q - x)" in cause:
        return "QActivation(quantized_relu(bits, integer)), or smaller weights before it"
    if "last elements" in cause:
        return "QActivation(quantized_bits(bits, integer, alpha=1)), or accept one level at a border between two powers"
    return "use fewer bits or fewer inputs a sum"


def _floats(node: Node, graph: Graph) -> list[Finding]:
    if node.type.kind == "float" and node.name not in graph.outputs:
        remedy = "put a QActivation after it to save RAM and time"
        return [Finding("float", node.name, "its result is stored as float32", remedy)]
    proved = proof(node)
    if proved is not None and proved[0] < proved[1]:
        cause = f"{proved[1] - proved[0]} of {proved[1]} channels have no exact fixed-point form and finish in float32"
        return [Finding("float", node.name, cause, KEEP)]
    return []


def _wasted(node: Node) -> list[Finding]:
    found = []
    if gone := dropped(node):
        cause = f"{gone} of {node.type.channels + gone} output channels are constant or nobody reads them; they are left out"
        found.append(Finding("wasted", node.name, cause, f"prune them: filters={node.type.channels}"))
    if "weights" in node.attrs:
        weights, kind = node.attrs["weights"], node.attrs["weight_type"]
        axis = (0, 1, 2) if node.op == "conv2d" else (0, 1)
        dead = int((weights == 0).all(axis=axis).sum())
        if dead:
            cause = f"{dead} of {node.type.channels} output channels have only zero weights"
            found.append(Finding("wasted", node.name, cause, f"prune them: filters={max(1, node.type.channels - dead)}"))
        levels = kind.hi - kind.lo + 1
        used = int(np.unique(weights).size)
        saturated = float(((weights == kind.lo) | (weights == kind.hi)).mean())
        if not kind.bipolar and levels >= 16 and used <= levels // 4 and weights.size >= levels:
            bits = max(2, int(used - 1).bit_length() + 1)
            cause = f"its weights use {used} of {levels} levels"
            found.append(Finding("wasted", node.name, cause, f"kernel_quantizer=quantized_bits({bits}, ...)"))
        if not kind.bipolar and levels >= 16 and saturated > 0.25:
            cause = f"{saturated:.0%} of its weights are saturated"
            found.append(Finding("wasted", node.name, cause, "one more integer bit in its kernel quantizer"))
    return found + _idle_levels(node)


def _idle_levels(node: Node) -> list[Finding]:
    """Levels that no reachable sum gives: constant channels, and output bits that are never set."""
    epilogue: Epilogue | None = node.attrs.get("epilogue")
    if epilogue is None or "acc_lo" not in node.attrs or "counts" in node.attrs:
        return []
    quantizer = epilogue.quantizer
    tensors = any(step.kind.endswith("_tensor") for step in epilogue.steps)
    if quantizer is None or isinstance(quantizer, Align) or not quantizer.monotone or tensors:
        return []
    ends = [evaluate(epilogue.steps, node.attrs[key].astype(np.float32)) for key in ("acc_lo", "acc_hi")]
    low, high = np.minimum(*ends), np.maximum(*ends)
    found, constant = [], int((low == high).sum())
    slopes = any(step.kind == "slope" and bool(np.any(step.constant < 0)) for step in epilogue.steps)
    if constant and not slopes:
        cause = f"{constant} of {node.type.channels} output channels are constant for every input"
        found.append(Finding("wasted", node.name, cause, f"prune them: filters={max(1, node.type.channels - constant)}"))
    top = max(-int(low.min()), int(high.max()))
    room = max(-quantizer.lo, quantizer.hi)
    if not slopes and constant < node.type.channels and 0 < 2 * top <= room:
        cause = f"its codes stay within {int(low.min())} to {int(high.max())} of {quantizer.lo} to {quantizer.hi}"
        idle = int(np.log2(room / top))
        found.append(Finding("wasted", node.name, cause, f"{idle} integer bits fewer in {quantizer.kind}"))
    return found
