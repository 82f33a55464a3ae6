"""What all rules share: the growing graph, and the table of rules by Keras class."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from mcugen.errors import McugenError
from mcugen.ir import Layer, Node, TensorType
from mcugen.numerics.epilogue import Epilogue, Step

Rule = Callable[["Builder", Layer], str]
RULES: dict[str, Rule] = {}


class Builder:
    """Nodes so far, and which node stands for which layer's output."""

    def __init__(self) -> None:
        self.nodes: list[Node] = []
        self._by_name: dict[str, Node] = {}
        self.types: dict[str, TensorType] = {}
        self.alias: dict[str, str] = {}

    def add(self, name: str, op: str, inputs: Sequence[str], shape: Sequence[int], **attrs: Any) -> str:
        """Appends a node; refuses shapes that no kernel takes. Returns its name."""
        if min(shape, default=1) < 1:
            raise McugenError(name, f"its output shape {tuple(shape)} is empty", "use a larger input or a smaller kernel")
        if not 0 < len(shape) <= 3:
            fact = f"its output shape {tuple(shape)} has {len(shape)} axes beside the batch"
            raise McugenError(name, fact, "use tensors of 1 to 3 axes: channels, (steps, channels) or (height, width, channels)")
        node = Node(name, op, tuple(inputs), TensorType(tuple(int(n) for n in shape), kind="float"), attrs)
        self.nodes.append(node)
        self._by_name[name] = node
        self.types[name] = node.type
        return name

    def map(self, name: str, source: str, *steps: Step, others: Sequence[str] = ()) -> str:
        """Appends elementwise steps; `others` are the tensors that *_tensor steps name by number, from 1."""
        return self.add(name, "map", (source, *others), self.types[source].shape, epilogue=Epilogue(steps))

    def by_name(self, name: str) -> Node:
        return self._by_name[name]

    def source(self, layer: Layer, index: int = 0) -> str:
        return self.alias[layer.inputs[index]]

    def shape(self, layer: Layer, index: int = 0) -> tuple[int, ...]:
        return self.types[self.source(layer, index)].shape


def rule(*classes: str) -> Callable[[Rule], Rule]:
    """Registers a function (builder, layer) -> name of the node that holds the layer's output."""

    def register(function: Rule) -> Rule:
        for name in classes:
            RULES[name] = function
        return function

    return register


def pair(value: Any) -> tuple[int, int]:
    """Two numbers, (height, width); one number or a one-element list stands for both."""
    return (value, value) if isinstance(value, int) else (int(value[0]), int(value[-1]))


def window(value: Any, rank: int) -> tuple[int, int]:
    """A window's (height, width); along sequences (rank 2) the height is 1."""
    height, width = pair(value)
    return (height, width) if rank == 3 else (1, width)
