"""Blocks of layers, and a network with chosen bits in each of them.

At b bits the weights of a block are ``quantized_bits(b, 0, 1, alpha='auto')``, ``binary(alpha='auto')`` for one bit:
the scale of every output channel comes from its weights. Each ``quantized_relu`` of the block keeps its range and takes
b bits; signed activations (sums, linear projections) round as the file says. Blocks whose weights are binary or ternary
were trained as such and stay.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from mcugen.errors import McugenError
from mcugen.float_twin import KEPT
from mcugen.ir import Graph, Node
from mcugen.numerics.epilogue import Epilogue, Step
from mcugen.quantizers import Quantizer, parse

FLOAT_BITS = 32


@dataclass(frozen=True)
class Block:
    """A group of layers: its name, the nodes in it, how many weights, and its bits where they cannot be chosen."""

    name: str
    nodes: tuple[str, ...]
    weights: int
    fixed_bits: int | None = None


def find_blocks(graph: Graph, pattern: str | None = None) -> tuple[Block, ...]:
    """The blocks of a normalised graph, in order: by the first group of a regular expression, else by layer with weights.

    Nodes whose name does not match belong to the block of their first input. Blocks without weights are left out.
    """
    block_of: dict[str, str] = {}
    for node in graph.nodes:
        found = _named(node, pattern)
        block_of[node.name] = found or (block_of[node.inputs[0]] if node.inputs else "")
    blocks = [_block(name, graph, block_of) for name in dict.fromkeys(block_of.values()) if name]
    found_blocks = tuple(block for block in blocks if block.weights)
    if not found_blocks:
        raise McugenError("--blocks", "no block with weights was found", "give a regular expression that matches layer names")
    return found_blocks


def _named(node: Node, pattern: str | None) -> str:
    if pattern is None:
        return node.name.split("/")[0] if "kernel" in node.attrs else ""
    try:
        match = re.match(pattern, node.name)
    except re.error as error:
        raise McugenError("--blocks", f"{pattern!r} is no regular expression ({error})", "write it as '(l[0-9]+)_'") from None
    return (match[1] if match.re.groups else match[0]) or "" if match else ""


def _block(name: str, graph: Graph, block_of: Mapping[str, str]) -> Block:
    nodes = [node for node in graph.nodes if block_of[node.name] == name]
    weighted = [node for node in nodes if "kernel" in node.attrs]
    kept = [node for node in weighted if node.attrs["quantizer"] is not None and node.attrs["quantizer"].kind in KEPT]
    if kept and len(kept) < len(weighted):
        fact = "the block holds weights of one or two bits and others"
        raise McugenError(name, fact, "choose smaller blocks with --blocks, or none for one block a layer")
    fixed = (1 if "binary" in kept[0].attrs["quantizer"].kind else 2) if kept else None
    weights = sum(int(node.attrs["kernel"].size) for node in weighted)
    return Block(name, tuple(node.name for node in nodes), weights, fixed)


def with_bits(graph: Graph, blocks: Sequence[Block], bits: Mapping[str, int], activations: bool = True) -> Graph:
    """The graph with the named blocks quantized; blocks that `bits` does not name stay in float."""
    chosen = {node: bits[block.name] for block in blocks if block.name in bits for node in block.nodes}
    nodes = [_with_bits(node, chosen[node.name], activations) if node.name in chosen else node for node in graph.nodes]
    return replace(graph, nodes=tuple(nodes))


def _with_bits(node: Node, bits: int, activations: bool) -> Node:
    if "kernel" in node.attrs:
        quantizer = node.attrs["quantizer"]
        if quantizer is not None and quantizer.kind in KEPT:
            return node
        return node.but(attrs={**node.attrs, "quantizer": weight_quantizer(bits, node.name), "rounds": True})
    if node.op == "map" and activations:
        steps = tuple(_step(step, bits) for step in node.attrs["epilogue"].steps)
        return node.but(attrs={**node.attrs, "epilogue": Epilogue(steps), "rounds": True})
    return node


def weight_quantizer(bits: int, layer: str) -> Quantizer:
    """Weights of so many bits with a scale for each output channel."""
    kind = "binary" if bits == 1 else "quantized_bits"
    config = {"alpha": "auto"} | ({} if bits == 1 else {"bits": bits, "integer": 0, "symmetric": 1, "keep_negative": True})
    found = parse({"class_name": kind, "config": config}, layer)
    assert found is not None
    return found


def _step(step: Step, bits: int) -> Step:
    quantizer = step.quantizer
    if not isinstance(quantizer, Quantizer) or quantizer.kind != "quantized_relu":
        return step
    return replace(step, quantizer=replace(quantizer, args={**quantizer.args, "bits": bits}))


def weight_bits(blocks: Sequence[Block], bits: Mapping[str, int]) -> int:
    """Packed bits of all weights; a block that `bits` does not name has float weights."""
    return sum(block.weights * (block.fixed_bits or bits.get(block.name, FLOAT_BITS)) for block in blocks)
