"""Joins elementwise steps to the operator whose result they finish, so that no float tensor is stored without need."""

from __future__ import annotations

from dataclasses import replace

from mcugen.ir import Graph, Node
from mcugen.numerics.epilogue import Epilogue, Step

_HOSTS = ("conv2d", "depthwise", "avgpool", "map")


def fuse(graph: Graph) -> Graph:
    """Appends each map to its producer where that producer's result has no other reader and is float, or gives but a sign.

    The fused node takes the map's name; arithmetic is unchanged, step by step: codes of which only a sign is taken become
    the step "codes", and are never stored.
    """
    nodes: dict[str, Node] = {}
    users = graph.users()
    for node in graph.nodes:
        host = nodes.get(node.inputs[0]) if node.op == "map" else None
        if (
            host is not None
            and host.op in _HOSTS
            and (host.type.kind == "float" or _only_sign(host, node))
            and users[host.name] == [node.name]
            and host.name not in graph.outputs
        ):
            del nodes[host.name]
            node = _join(host, node)
        nodes[node.name] = node
    return replace(graph, nodes=tuple(nodes.values()))


def _join(host: Node, follower: Node) -> Node:
    shift = len(host.inputs) - 1
    moved = tuple(_shifted(step, shift) for step in follower.attrs["epilogue"].steps)
    steps = host.attrs["epilogue"].steps
    if host.type.kind == "int":
        steps = (*steps[:-1], replace(steps[-1], kind="codes"))
    epilogue = Epilogue(steps + moved)
    return Node(
        follower.name,
        host.op,
        host.inputs + follower.inputs[1:],
        follower.type,
        {**host.attrs, "epilogue": epilogue},
    )


def _only_sign(host: Node, follower: Node) -> bool:
    """The host's quantized values become one bit, without any other tensor."""
    quantized = host.attrs["epilogue"].quantizer is not None and not host.type.bipolar
    return quantized and follower.type.bipolar and len(follower.inputs) == 1


def _shifted(step: Step, shift: int) -> Step:
    return replace(step, operand=step.operand + shift) if step.kind.endswith("_tensor") else step
