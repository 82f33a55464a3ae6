"""`mcugen sensitivity`: what is quantized where, the walk through mixtures, the front, and work on a Dask scheduler."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result

from mcugen.cli import main
from mcugen.errors import McugenError
from mcugen.float_twin import run_float
from mcugen.load import load
from mcugen.normalise import normalise
from mcugen.sensitivity.blocks import Block, find_blocks, weight_bits, with_bits
from mcugen.sensitivity.study import Score, Study, path
from tests.unit.model_files import sample, write_h5
from tests.unit.people import write_people


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    config, weights = sample()
    rng = np.random.default_rng(1)
    for items in weights.values():
        for key, value in items.items():
            signs = 1.0 if key == "moving_variance" else rng.choice([-0.4, 0.4], value.shape)
            items[key] = (value * signs).astype(np.float32)
    return write_h5(tmp_path_factory.mktemp("model") / "m.h5", config, weights)


@pytest.fixture(scope="module")
def samples(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("samples") / "x.npy"
    np.save(file, np.random.default_rng(2).integers(0, 256, (40, 6, 6, 2), np.uint8))
    return file


def call(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["sensitivity", *map(str, arguments)])


def test_blocks_are_layers_or_what_the_pattern_says(model: Path) -> None:
    graph = normalise(load(model))
    layers = find_blocks(graph)
    assert [(block.name, block.weights) for block in layers] == [("conv1", 36), ("conv2", 36), ("dense", 54)]
    assert "conv1" in layers[0].nodes and "act" in layers[0].nodes  # the sum's first operand is conv1
    grouped = find_blocks(graph, "(conv)[0-9]")
    assert [(block.name, block.weights) for block in grouped] == [("conv", 126)]  # dense follows its input
    with pytest.raises(McugenError, match="no block"):
        find_blocks(graph, "absent")


def test_only_the_named_block_is_quantized(model: Path) -> None:
    """Against the graph with weights and ReLU levels written in by hand."""
    graph = normalise(load(model))
    x = np.random.default_rng(3).uniform(-1, 1, (5, 6, 6, 2)).astype(np.float32)
    found = run_float(with_bits(graph, find_blocks(graph), {"conv1": 2}), [x])[0]
    nodes = {node.name: node for node in graph.nodes}
    kernel = nodes["conv1/sum"].attrs["kernel"]
    most = np.abs(kernel).max(axis=(0, 1, 2))  # two bits: -most, 0 or most, whichever is nearest, by output channel
    coarse = (np.sign(kernel) * (np.abs(kernel) >= most / 2) * most).astype(np.float32)
    changed = [
        node.but(attrs={**node.attrs, "kernel": coarse, "quantizer": None}) if node.name == "conv1/sum" else node
        for node in graph.nodes
    ]
    weights_only = run_float(with_bits(graph, find_blocks(graph), {"conv1": 2}, activations=False), [x])[0]
    assert np.allclose(weights_only, run_float(replace(graph, nodes=tuple(changed)), [x])[0], atol=1e-5)
    assert not np.allclose(found, weights_only)  # the ReLU has four levels now
    quantized = with_bits(graph, find_blocks(graph), {"conv1": 2})
    assert [quantized[name].attrs["epilogue"].quantizer.args["bits"] for name in ("conv1", "act")] == [2, 8]
    assert np.array_equal(run_float(with_bits(graph, find_blocks(graph), {}), [x])[0], run_float(graph, [x])[0])


def test_more_bits_come_closer_to_float(model: Path, samples: Path) -> None:
    result = call(model, "--inputs", samples, "--bits", "16,8,4,2,1", "--jobs", 1, "--json", samples.parent / "r.json")
    assert result.exit_code == 0, result.output
    data = json.loads((samples.parent / "r.json").read_text())
    assert data["measure"] == "cosine" and data["float"] == {"accuracy": None, "cosine": 1.0, "sqnr_db": None}
    assert len(data["single"]) == 15 and data["images"] == 40
    for block in ("conv1", "conv2", "dense"):
        noise = [row["sqnr_db"] for row in data["single"] if row["block"] == block]
        assert noise[0] > noise[1] > noise[2] > noise[4], (block, noise)
    uniform = {row["name"]: row["weight_bits"] for row in data["mixed"]}
    assert uniform["all 16 bits"] == 126 * 16 and uniform["all 1 bits"] == 126


def test_pictures_and_asked_mixture(model: Path, samples: Path, tmp_path: Path) -> None:
    result = call(model, "--inputs", samples, "--bits", "8,2", "--jobs", 2, "--mixed", "8,2,8", "--report", tmp_path / "r")
    assert result.exit_code == 0, result.output
    assert {file.name for file in (tmp_path / "r").iterdir()} == {"blocks.png", "footprint.png", "sensitivity.json"}
    rows = {row["name"]: row for row in json.loads((tmp_path / "r" / "sensitivity.json").read_text())["mixed"]}
    assert rows["asked 8,2,8"]["bits"] == {"conv1": 8, "conv2": 2, "dense": 8}
    assert rows["asked 8,2,8"]["weight_bits"] == 36 * 8 + 36 * 2 + 54 * 8


def test_whole_networks_only(model: Path, samples: Path, tmp_path: Path) -> None:
    options = ("--no-singles", "--mixed", "8,2,8", "--bits", "8,2", "--jobs", 1, "--report", tmp_path / "r")
    assert call(model, "--inputs", samples, *options).exit_code == 0
    found = json.loads((tmp_path / "r" / "sensitivity.json").read_text())
    assert found["single"] == [] and [row["name"] for row in found["mixed"]] == ["asked 8,2,8", "all 8 bits", "all 2 bits"]


def test_accuracy_of_pairs(model: Path, tmp_path: Path) -> None:
    """Pictures of people in, accuracy out (the model has two channels, so its twin with three is made here)."""
    config, weights = sample()
    config["config"]["layers"][0]["config"]["batch_input_shape"] = [None, 6, 6, 3]
    rng = np.random.default_rng(4)
    weights["conv1"]["kernel"] = rng.normal(0, 0.3, (3, 3, 3, 2)).astype(np.float32)
    weights["conv2"]["kernel"] = rng.normal(0, 0.3, (3, 3, 2, 2)).astype(np.float32)
    weights["dense"] = {"kernel": rng.normal(0, 0.3, (18, 3)).astype(np.float32), "bias": np.zeros(3, np.float32)}
    file = write_h5(tmp_path / "rgb.h5", config, weights)
    write_people(tmp_path / "faces", "ABCD", rng, images=2, noise=5, least=0, most=256)
    rows = ["2\t2", "A\t1\t2", "B\t1\t2", "A\t1\tB\t1", "A\t2\tB\t2", "C\t1\t2", "D\t1\t2", "C\t1\tD\t1", "C\t2\tD\t2"]
    (tmp_path / "pairs.txt").write_text("\n".join(rows) + "\n")
    options = ("--images", tmp_path / "faces", "--pairs", tmp_path / "pairs.txt", "--jobs", 1, "--json", tmp_path / "r.json")
    result = call(file, *options)
    assert result.exit_code == 0, result.output
    data = json.loads((tmp_path / "r.json").read_text())
    assert data["measure"] == "accuracy" and data["images"] == 8
    assert all(0 <= row["accuracy"] <= 1 for row in data["single"]) and data["float"]["accuracy"] > 0.8


def scores(*cosines: float) -> Iterator[Score]:
    return (Score(None, cosine, None) for cosine in cosines)


def test_path_takes_the_cheapest_reduction_first() -> None:
    blocks = [Block("small", (), 10), Block("large", (), 1000)]
    keys = [(name, bits) for name in ("small", "large") for bits in (8, 4, 2)]
    single = dict(zip(keys, scores(1.0, 0.999, 0.5, 1.0, 0.99, 0.9), strict=True))
    found = path(blocks, [8, 4, 2], single, 24)
    walk = [tuple(bits.values()) for bits in found.values()]
    # per saved bit: large 8->4 costs 0.01/4000, large 4->2 0.09/2000, small 8->4 0.001/40, small 4->2 0.499/20
    assert walk == [(8, 8), (4, 4), (2, 2), (8, 4), (4, 2)]  # (4, 4) lies on the walk and is uniform
    assert len(path(blocks, [8, 4, 2], single, 4)) <= 5


def test_front_and_footprint() -> None:
    blocks = (Block("a", (), 10), Block("b", (), 100, fixed_bits=1))
    rows = zip("wxyz", ({"a": 8}, {"a": 4}, {"a": 2}, {}), scores(0.9, 0.95, 0.8, 0.99), strict=True)
    found = Study(blocks, Score(None, 1.0, None), {}, {name: (bits, score) for name, bits, score in rows})
    assert weight_bits(blocks, {"a": 8}) == 180 and found.footprint("z") == 10 * 32 + 100
    assert found.pareto == {"x", "y", "z"}  # w is larger and worse than x


@pytest.mark.parametrize(
    ("options", "word"),
    [
        (["--bits", "8,x"], "--bits"),
        (["--bits", "0"], "--bits"),
        (["--mixed", "8,8"], "conv2"),
        (["--blocks", "("], "regular expression"),
        (["--scheduler", "tcp://127.0.0.1:1"], "no Dask scheduler"),
    ],
)
def test_refusals(model: Path, samples: Path, options: list[str], word: str, monkeypatch: Any) -> None:
    monkeypatch.setattr("mcugen.sensitivity.spread.CONNECT_SECONDS", 1)
    result = call(model, "--inputs", samples, *options)
    assert result.exit_code == 2 and word in result.output and "Traceback" not in result.output, result.output


def test_needs_samples(model: Path) -> None:
    result = call(model)
    assert result.exit_code == 2 and "--images" in result.output


def test_dask_gives_the_same_results(model: Path, samples: Path, tmp_path: Path) -> None:
    import distributed

    options = ("--inputs", samples, "--bits", "8,2")
    assert call(model, *options, "--jobs", 1, "--json", tmp_path / "here.json").exit_code == 0
    with distributed.LocalCluster(n_workers=1, threads_per_worker=2, processes=False, dashboard_address=None) as cluster:
        result = call(model, *options, "--scheduler", cluster.scheduler_address, "--json", tmp_path / "there.json")
        assert result.exit_code == 0, result.output
    assert (tmp_path / "here.json").read_text() == (tmp_path / "there.json").read_text()
