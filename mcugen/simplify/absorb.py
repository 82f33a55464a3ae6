"""Lets binary convolutions take the signs of int8 codes by themselves where a kernel can, so that no bits are stored."""

from __future__ import annotations

from dataclasses import replace

from mcugen.ir import Graph, Node, TensorType
from mcugen.numerics.epilogue import Epilogue, Threshold


def absorb_signs(graph: Graph) -> Graph:
    """Removes maps that only take signs (code >= 0 is +1) before binary convolutions.

    The convolution then reads the codes, and attrs["sign_input"] says that +1 or -1 stands for each.
    """
    users, by_name = graph.users(), graph.by_name
    gone = {
        node.name: node.inputs[0]
        for node in graph.nodes
        if node.op == "map"
        and node.name not in graph.outputs
        and _takes_signs(node, by_name[node.inputs[0]].type)
        and all(_reads_bits(by_name[user], node.name) for user in users[node.name])
    }
    nodes = []
    for node in graph.nodes:
        if node.name in gone:
            continue
        if node.inputs and node.inputs[0] in gone:
            inputs = (gone[node.inputs[0]], *node.inputs[1:])
            node = node.but(inputs=inputs, attrs={**node.attrs, "sign_input": True})
        nodes.append(node)
    return replace(graph, nodes=tuple(nodes))


def _takes_signs(node: Node, source: TensorType) -> bool:
    epilogue: Epilogue = node.attrs["epilogue"]
    form = epilogue.form
    eight_bits = source.kind == "int" and source.bits == 8 and source.signed and source.layout == "hwc"
    plain = isinstance(form, Threshold) and not form.flip.any() and not form.threshold.any()
    return eight_bits and plain and len(node.inputs) == 1


def _reads_bits(user: Node, name: str) -> bool:
    only = user.inputs[0] == name and name not in user.inputs[1:]
    return user.op == "conv2d" and only and bool(user.attrs["weight_type"].bipolar)
