"""Constant and unread channels leave the graph; the outputs and what is left of every tensor stay the same."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mcugen.budget import Limits, layer_sizes
from mcugen.build import random_codes
from mcugen.elf import Symbols
from mcugen.errors import McugenError
from mcugen.findings import find
from mcugen.interpret import interpret
from mcugen.ir import Graph, Layer, Network
from mcugen.normalise import normalise
from mcugen.numerics.exactness import promised
from mcugen.pipeline import lower
from mcugen.quantise import quantise
from mcugen.report import make_report, text
from mcugen.simplify.dead_channels import drop_dead_channels, dropped, kept
from mcugen.simplify.fuse import fuse
from mcugen.toolchain import Image
from tests.fuzzing.batch import HostBatch, compiled
from tests.hand_network import HandMaker
from tests.random_network import random_network

WIDE = 32


def whole(network: Network) -> Graph:
    """The graph with all channels."""
    return fuse(quantise(normalise(network)))


def outputs_equal(small: Graph, large: Graph) -> None:
    """What is left of every tensor is the same, in the reference and in C."""
    codes = random_codes(large, 3)
    expected = interpret(large, codes, keep=True)
    found = interpret(small, codes, keep=True)
    in_c = HostBatch([compiled(small)], sanitize=True).trace(0, codes)
    assert set(small.outputs) == set(large.outputs)
    for name in small.outputs:
        assert np.array_equal(found[name], expected[name]) and np.ptp(expected[name]) > 0
    for name, values in in_c.items():
        assert np.array_equal(values.reshape(found[name].shape), found[name]), name
    for node in small.nodes:
        want = kept(node, expected[node.name]).reshape(found[node.name].shape)
        assert node.name not in small.outputs or dropped(node) == 0
        assert np.array_equal(found[node.name], want), node.name


def relu_of_zero(make: HandMaker) -> dict[str, int]:
    make.convolved(WIDE), make.normed(beta=0.0, zero=slice(3, 9))
    names = [make.quantized("quantized_relu(8,2)"), make.depthwise()]
    make.normed(beta=0.0), make.quantized("quantized_relu(8,2)")
    make.convolved(WIDE, 3), make.quantized("quantized_bits(8,2,1,alpha=1)")
    return dict.fromkeys(names[:1], 4)


def constant_before_a_pointwise(make: HandMaker) -> dict[str, int]:
    make.convolved(WIDE), make.normed(zero=slice(0, 8))
    name = make.quantized("quantized_bits(8,2,1,alpha=1)")
    make.convolved(16), make.normed(), make.quantized("quantized_relu(8,2)")
    return {name: 8}


def constant_before_padding(make: HandMaker) -> dict[str, int]:
    make.convolved(WIDE), make.normed(beta=1.0, zero=slice(0, 8))
    name = make.quantized("quantized_relu(8,2)")
    make.convolved(16, 3), make.quantized("quantized_relu(8,2)")
    return {name: 0}


def constant_without_padding(make: HandMaker) -> dict[str, int]:
    make.convolved(WIDE, zero=slice(4, 8)), make.normed(beta=1.0)
    names = [make.quantized("quantized_relu(8,2)")]
    make.depthwise("valid"), make.normed()
    names.append(make.quantized("quantized_relu(4,2)"))
    make.convolved(16, 3, "valid"), make.quantized("quantized_bits(8,2,1,alpha=1)")
    return dict.fromkeys(names, 4)


def bits(make: HandMaker) -> dict[str, int]:
    make.convolved(2 * WIDE), make.normed(zero=slice(0, WIDE))
    name = make.quantized("binary(alpha=1)")
    make.convolved(WIDE, 1, weights="binary(alpha=1)"), make.normed(), make.quantized("quantized_bits(8,2,1,alpha=1)")
    return {name: WIDE}


def bits_before_padding(make: HandMaker) -> dict[str, int]:
    make.convolved(2 * WIDE), make.normed(zero=slice(0, WIDE))
    name = make.quantized("binary(alpha=1)")
    make.convolved(WIDE, 3, weights="binary(alpha=1)"), make.normed(), make.quantized("quantized_bits(8,2,1,alpha=1)")
    return {name: 0}


def unread(make: HandMaker) -> dict[str, int]:
    make.convolved(WIDE), make.normed()
    names = [make.quantized("quantized_relu(8,2)"), make.depthwise()]
    names[1] = make.quantized("quantized_bits(8,2,1,alpha=1)")
    make.convolved(16, unread=slice(10, 14)), make.quantized("quantized_relu(8,2)")
    return dict.fromkeys(names, 4)


def one_term_of_a_sum(make: HandMaker) -> dict[str, int]:
    make.convolved(WIDE), make.normed()
    first = make.quantized("quantized_bits(8,2,1,alpha=1)")
    make.convolved(WIDE, zero=slice(0, 8)), make.quantized("quantized_bits(8,2,1,alpha=1)"), make.added(first)
    last = make.quantized("quantized_bits(8,3,1,alpha=1)")
    make.convolved(16), make.quantized("quantized_relu(8,2)")
    return {first: 0, last: 0}


def both_terms_of_a_sum(make: HandMaker) -> dict[str, int]:
    make.convolved(WIDE, zero=slice(0, 12))
    first = make.quantized("quantized_bits(8,2,1,alpha=1)")
    make.convolved(WIDE, 3, zero=slice(4, 16)), make.quantized("quantized_bits(8,2,1,alpha=1)"), make.added(first)
    last = make.quantized("quantized_bits(8,3,1,alpha=1)")
    make.convolved(16, 3), make.quantized("quantized_relu(8,2)")
    return {first: 8, last: 8}


def all_of_them(make: HandMaker) -> dict[str, int]:
    make.convolved(WIDE), make.normed(zero=slice(0, WIDE))
    name = make.quantized("quantized_bits(8,2,1,alpha=1)")
    branch = make.last
    make.last = make.layers[1].name
    make.convolved(16), make.normed()
    other = make.quantized("quantized_bits(8,2,1,alpha=1)")
    make.last = branch
    make.convolved(16), make.added(other), make.quantized("quantized_bits(8,3,1,alpha=1)")
    return {name: WIDE - 4}


CASES = (relu_of_zero, constant_before_a_pointwise, constant_before_padding, constant_without_padding, bits, bits_before_padding,
         unread, one_term_of_a_sum, both_terms_of_a_sum, all_of_them)  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.__name__)
def test_channels_leave_and_nothing_else_changes(case: Any) -> None:
    make = HandMaker()
    wanted = case(make)
    network = make.network()
    graph = lower(network)
    by_name = {node.name: dropped(node) for node in graph.nodes}
    assert {name: by_name[name] for name in wanted} == wanted
    outputs_equal(graph, whole(network))


def test_check_and_report_say_what_is_left_out() -> None:
    make = HandMaker()
    constant_before_a_pointwise(make)
    graph = lower(make.network())
    said = [finding.cause for finding in find(graph) if "left out" in finding.cause]
    assert said == ["8 of 32 output channels are constant or nobody reads them; they are left out"]
    made = compiled(graph)
    sizes = layer_sizes(made.calls, made.sources.steps, made.plan, Symbols(()))
    image = Image(Path(), Path(), "gcc", made.board, dict.fromkeys((region.name for region in made.board.regions), 0))
    assert "8 channels that are constant or that nobody reads are left out" in text(make_report(made, image, sizes, Limits()))


def test_folded_constants_leave_the_promise_of_exactness() -> None:
    make = HandMaker()
    constant_before_a_pointwise(make)
    network = make.network()
    assert promised(lower(network)) == promised(whole(network))


def crippled(seed: int) -> Network:
    """A random network with kernels and normalizations that do nothing in many channels."""
    network, rng = random_network(seed), np.random.default_rng(seed)
    layers: list[Layer] = []
    for layer in network.layers:
        weights = dict(layer.weights)
        for key in ("kernel", "gamma"):
            if key in weights and rng.random() < 0.7:
                weights[key] = np.where(rng.random(weights[key].shape[-1]) < 0.5, 0, weights[key])
        if "kernel" in weights and weights["kernel"].ndim == 4 and rng.random() < 0.3:
            weights["kernel"] = weights["kernel"] * (rng.random((weights["kernel"].shape[2], 1)) < 0.5)
        layers.append(replace(layer, weights={key: np.asarray(value, np.float32) for key, value in weights.items()}))
    return replace(network, layers=tuple(layers), name=f"n{seed}")


def test_random_networks_with_dead_channels() -> None:
    removed, graphs = 0, {}
    for seed in range(120):
        try:
            large = whole(crippled(seed))
        except McugenError as error:
            assert "overflow 53 bits" in str(error)
            continue
        small = drop_dead_channels(large)
        codes = random_codes(large, 3, seed)
        expected, found = interpret(large, codes, keep=True), interpret(small, codes, keep=True)
        for node in small.nodes:
            want = kept(node, expected[node.name]).reshape(found[node.name].shape)
            assert np.array_equal(found[node.name], want), (seed, node.name)
        count = sum(map(dropped, small.nodes))
        removed += count
        if count and len(graphs) < 20:
            graphs[seed] = lower(crippled(seed))
    assert removed > 300 and len(graphs) == 20
    batch = HostBatch([compiled(graph) for graph in graphs.values()], sanitize=True)
    for number, (seed, graph) in enumerate(graphs.items()):
        codes = random_codes(graph, 2, seed)
        expected = interpret(graph, codes, keep=True)
        for name, values in batch.trace(number, codes).items():
            assert np.array_equal(values.reshape(expected[name].shape), expected[name]), (seed, name)
