"""Removes channels that are the same for every input, or that nobody reads, and adds what they gave to their readers' sums.

Tensors whose channels belong together (a depthwise convolution's input and output, the terms of an addition) form a space;
a channel leaves a whole space or none of it. It may leave where every convolution that reads it has zero weights for it, or
where it is constant and the convolution pads nothing, or pads with that constant, 0.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from mcugen.ir import Array, Float, Graph, Int, Node, TensorType
from mcugen.numerics.align import EXACT, Align
from mcugen.numerics.epilogue import Epilogue, Step, evaluate
from mcugen.numerics.requantize import monotone
from mcugen.ops import OPERATORS

_TIED = ("depthwise", "maxpool", "avgpool", "map", "pad", "resize", "reshape")  # input and output have the same channels
_WHOLE = {"words": 32}  # channels that are stored, and computed, together; elsewhere 4


def drop_dead_channels(graph: Graph) -> Graph:
    """The graph with fewer channels, the same outputs; attrs["kept"], bool (channels as they were,), marks those left."""
    while (smaller := _Channels(graph).without_dead()) is not graph:
        graph = smaller
    return graph


def kept(node: Node, values: Array) -> Array:
    """Of a whole tensor (N, ..., channels), such as QKeras computes, the channels that the graph still has."""
    left: Array = values if "kept" not in node.attrs else values[..., node.attrs["kept"]]
    return left


def dropped(node: Node) -> int:
    """How many channels the node has lost."""
    return int((~node.attrs["kept"]).sum()) if "kept" in node.attrs else 0


class _Channels:
    """Spaces, and the constants of each tensor: by channel its code or float, NaN where it varies."""

    def __init__(self, graph: Graph) -> None:
        self.graph, self.by_name = graph, graph.by_name
        self.space = {node.name: node.name for node in graph.nodes}
        self.closed = {self.find(name) for name in (*graph.inputs, *graph.outputs)}
        for node in graph.nodes:
            self._tie(node)
        self.constants: dict[str, Array] = {}
        for node in graph.nodes:
            self.constants[node.name] = self._constant(node)

    def find(self, name: str) -> str:
        while self.space[name] != name:
            name = self.space[name]
        return name

    def _tie(self, node: Node) -> None:
        mixes = node.op == "conv2d" and node.attrs["groups"] == 1
        same = node.op in _TIED and all(self.by_name[name].type.channels == node.type.channels for name in node.inputs)
        for name in node.inputs[1:] if mixes else node.inputs if same else ():
            one, other = self.find(node.name), self.find(name)
            self.space[other] = one
            if other in self.closed:
                self.closed.add(one)
        if node.op != "input" and not mixes and not same:
            self.closed.update(self.find(name) for name in (node.name, *node.inputs))

    def _constant(self, node: Node) -> Array:
        varies = np.full(node.type.channels, np.nan)
        if node.op == "conv2d" and node.attrs["groups"] == 1:
            return self._sums(node)
        if node.op not in _TIED or self.by_name[node.inputs[0]].type.channels != node.type.channels:
            return varies
        sources = [self.by_name[name].type for name in node.inputs]
        given = [self.constants[name] for name in node.inputs]
        known = ~np.isnan(np.sum(given, axis=0))
        if not known.any():
            return varies
        inputs = [_filled(each, kind) for each, kind in zip(given, sources, strict=True)]
        made = OPERATORS[node.op].reference(node, sources, inputs).reshape(-1, node.type.channels)
        return np.where(known & (made == made[0]).all(axis=0), made[0], np.nan)

    def _sums(self, node: Node) -> Array:
        """What a convolution gives where its lowest and its highest sum become the same."""
        source, epilogue = self.by_name[node.inputs[0]].type, node.attrs["epilogue"]
        if len(node.inputs) > 1:
            return np.full(node.type.channels, np.nan)
        varying = np.where(self._foldable(node)[:, None], 0, node.attrs["weights"])
        ends = np.stack(OPERATORS["conv2d"].bounds(varying, source)) + _share(node, self._folded(node))
        made = evaluate(epilogue.steps, ends.astype(np.float32))
        ordered = isinstance(epilogue.quantizer, Align) or (epilogue.quantizer is not None and monotone(epilogue.steps))
        return np.where((ends[0] == ends[1]) | (ordered & (made[0] == made[1])), made[0], np.nan)

    def _foldable(self, node: Node) -> Array:
        """bool (channels,): inputs of a convolution that are constant, and 0 where it pads."""
        given = self.constants[node.inputs[0]]
        foldable: Array = ~np.isnan(given) & ((given == 0) | (not any(node.attrs["pads"])))
        return foldable

    def _folded(self, node: Node) -> Int:
        """Their codes; 0 for the others."""
        codes: Int = np.where(self._foldable(node), self.constants[node.inputs[0]], 0).astype(np.int64)
        return codes

    def without_dead(self) -> Graph:
        """The same graph where there is nothing to remove."""
        removed = {name: gone for name, gone in self._removed().items() if gone.any()}
        if not removed:
            return self.graph
        nodes: list[Node] = []
        done: dict[str, TensorType] = {}
        for node in self.graph.nodes:
            gone = removed.get(self.find(node.name))
            source = removed.get(self.find(node.inputs[0])) if node.op == "conv2d" else None
            if source is not None:
                node = self._reading_less(node, source)
            if gone is not None:
                node = _giving_less(node, ~gone)
            if "weights" in node.attrs and (source is not None or gone is not None):
                lo, hi = OPERATORS[node.op].bounds(node.attrs["weights"], done[node.inputs[0]])
                node = node.but(attrs={**node.attrs, "acc_lo": lo, "acc_hi": hi})
            done[node.name] = node.type
            nodes.append(node)
        return replace(self.graph, nodes=tuple(nodes))

    def _removed(self) -> dict[str, Array]:
        """By space, bool (channels,): what leaves it; such that whole groups of channels stay."""
        found: dict[str, Array] = {}
        for node in self.graph.nodes:
            if node.op == "conv2d" and node.attrs["groups"] == 1:
                space = self.find(node.inputs[0])
                found[space] = found.get(space, True) & self._unneeded(node)
        return {space: self._whole(space, gone) for space, gone in found.items() if space not in self.closed}

    def _unneeded(self, node: Node) -> Array:
        unread = (node.attrs["weights"] == 0).all(axis=(0, 1, 3))
        folded = self._folded(node)
        largest = max(int(np.abs(node.attrs[key]).max()) for key in ("acc_lo", "acc_hi"))
        most = np.abs(folded) @ np.abs(node.attrs["weights"]).sum(axis=(0, 1))
        unneeded: Array = unread | (self._foldable(node) & ((folded == 0) | (largest + int(most.max()) < EXACT)))
        return unneeded

    def _whole(self, space: str, gone: Array) -> Array:
        kinds = [node.type for node in self.graph.nodes if self.find(node.name) == space]
        size = max(_WHOLE.get(kind.layout, 4) for kind in kinds)
        size = size if len(gone) % size == 0 else 1
        stay = len(gone) - int(gone.sum())
        stay = max(size, -(-stay // size) * size)
        last = np.flatnonzero(gone)[len(gone) - stay :]
        return np.where(np.isin(np.arange(len(gone)), last), False, gone)

    def _reading_less(self, node: Node, gone: Array) -> Node:
        """A convolution without some of its inputs, whose share is added to the sums in float32, exactly."""
        sums = _share(node, np.where(gone, self._folded(node), 0))
        epilogue: Epilogue = node.attrs["epilogue"]
        steps = (Step("add", sums.astype(np.float32)), *epilogue.steps) if sums.any() else epilogue.steps
        return _with_weights(node.but(attrs={**node.attrs, "epilogue": Epilogue(steps)}), node.attrs["weights"][:, :, ~gone])


def _filled(given: Array, kind: TensorType) -> Array:
    """A tensor (1, ...) of the constants; what varies counts as 0."""
    values = np.broadcast_to(np.nan_to_num(given), (1, *kind.shape))
    return values.astype(np.float32 if kind.kind == "float" else np.int64)


def _share(node: Node, codes: Int) -> Int:
    """What inputs of constant codes (channels,) add to each sum of a convolution that pads none of them."""
    sums: Int = codes @ node.attrs["weights"].sum(axis=(0, 1))
    return sums


def _with_weights(node: Node, weights: Int) -> Node:
    kind = replace(node.attrs["weight_type"], shape=weights.shape)
    return node.but(attrs={**node.attrs, "weights": weights, "weight_type": kind})


def _giving_less(node: Node, stay: Array) -> Node:
    """A node with some of its output channels."""
    attrs = dict(node.attrs)
    if "epilogue" in attrs:
        attrs["epilogue"] = Epilogue(tuple(_sliced(step, stay) for step in attrs["epilogue"].steps))
    attrs |= {key: attrs[key][stay] for key in ("acc_lo", "acc_hi") if key in attrs}
    left = attrs.get("kept", np.ones(len(stay), bool)).copy()
    left[np.flatnonzero(left)[~stay]] = False
    attrs["kept"] = left
    node = node.but(type=replace(node.type, shape=(*node.type.shape[:-1], int(stay.sum()))), attrs=attrs)
    if "weights" not in attrs:
        return node
    weights = attrs["weights"]
    return _with_weights(node, weights[..., stay] if node.op == "conv2d" else weights[:, :, stay])


def _sliced(step: Step, stay: Array) -> Step:
    value: Float | np.float32 | None = step.value
    by_channel = value is not None and step.kind != "clip" and np.shape(value) == stay.shape
    return replace(step, value=step.constant[stay]) if by_channel else step
