"""Everything that is measured of one network of the zoo: sizes, cost, and whether all engines agree."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from mcugen.boards import load_board
from mcugen.budget import Limits, check_measured, constants_bytes, flash_bytes, ram_bytes
from mcugen.build import link
from mcugen.engines.host import HostEngine
from mcugen.errors import CheckFailed
from mcugen.interpret import decode, encode_inputs, interpret
from mcugen.ir import Board, Graph, Network
from mcugen.load import load
from mcugen.normalise import normalise
from mcugen.pipeline import Compiled, compile_graph, lower
from mcugen.profiling import profile_sample
from mcugen.reference import golden
from mcugen.select import select_kernels
from mcugen.simplify.idle import drop_idle
from mcugen.toolchain import Image

Say = Callable[[str], None]
HOST_SAMPLES = 2


@dataclass
class Row:
    """One line of the table. Bytes, multiply-accumulates and weight bits by weight width; counts as "equal/all"."""

    name: str
    parameters: int = 0
    macs: dict[str, int] = field(default_factory=dict)
    dropped_macs: int = 0
    weight_bits: int = 0
    weights: int = 0
    goal: str = ""
    flash: int | None = None
    ram: int | None = None
    regions: dict[str, int] = field(default_factory=dict)
    arena: int | None = None
    lower_bound: int | None = None
    milliseconds: float | None = None
    fused_ram: int | None = None
    fused_arena: int | None = None
    fused_host: str = ""
    fits: bool = False
    refused: str = ""
    constants: int | None = None
    qkeras: str = ""
    host: str = ""
    simulated: str = ""
    error: str = ""
    seconds: dict[str, float] = field(default_factory=dict)

    def json(self) -> dict[str, Any]:
        return asdict(self)


CHECKS = ("qkeras", "host", "simulator")


def measure(
    row: Row, path: Path, folder: Path, board_name: str, goals: Sequence[str], checks: Collection[str], say: Say
) -> None:
    """Fills the row of the model at `path`, with those of CHECKS that are asked for; the image goes to `folder`.

    The first of `goals` with which it fits is taken.
    Of a network that does not fit only the reference is compared, with QKeras.
    """
    board, images = load_board(board_name), np.load(path.with_suffix(".npz"))["images"]
    with _timed(row, "lower", say):
        network = load(path)
        count(row, network)
        graph = lower(network)
    with _timed(row, "compile", say):
        built = fitting(row, graph, board, folder, goals)
    saved = compiled_for_ram(row, graph, board, folder, say) if built is not None else None
    if not checks:
        return
    codes = encode_inputs(graph, [normalized(images[:HOST_SAMPLES])])
    with _timed(row, "reference", say):
        found = interpret(graph, codes)
        wanted = [found[name] for name in graph.outputs]
    if "qkeras" in checks:
        with _timed(row, "QKeras", say):
            truth = golden(path, normalized(images[:HOST_SAMPLES]), timeout=3600, batch=1)
            mine = [decode(codes, graph[name].type) for codes, name in zip(wanted, graph.outputs, strict=True)]
            row.qkeras = agreement(mine, list(truth.values()))
    if built is None:
        return
    compiled, image = built
    if "host" in checks:
        with _timed(row, "host", say):
            row.host = agreement(HostEngine(graph, compiled.sources).run(codes), wanted)
            if saved is not None:
                one = [x[:1] for x in codes]
                row.fused_host = agreement(HostEngine(graph, saved.sources).run(one), [x[:1] for x in wanted])
    if "simulator" in checks:
        with _timed(row, "simulated board", say):
            profile, outputs = profile_sample(compiled, image, [x[:1] for x in codes])
            row.milliseconds = profile.milliseconds(profile.total)
            row.simulated = agreement(outputs, [x[:1] for x in wanted])


def normalized(images: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    """Network input of uint8 pixels: (u8 - 128) / 128."""
    return (images.astype(np.float32) - np.float32(128)) / np.float32(128)


def agreement(found: list[Any], wanted: list[Any]) -> str:
    """How many output values are equal, as "equal/all"."""
    equal = sum(int((a.reshape(b.shape) == b).sum()) for a, b in zip(found, wanted, strict=True))
    return f"{equal}/{sum(b.size for b in wanted)}"


def count(row: Row, network: Network) -> None:
    """Multiply-accumulates and weight bits of the network as it is written, and what the compiler drops of it."""
    whole, kept = _work(_without_products(network)), _work(drop_idle(network))
    row.macs = {str(bits): macs for bits, (macs, _) in sorted(whole.items(), reverse=True)}
    row.dropped_macs = sum(macs for macs, _ in whole.values()) - sum(macs for macs, _ in kept.values())
    row.weights = sum(weights for _, weights in whole.values())
    row.weight_bits = sum(bits * weights for bits, (_, weights) in whole.items())


def _work(network: Network) -> dict[int, tuple[int, int]]:
    """(multiply-accumulates, weights) by weight bits."""
    found: dict[int, tuple[int, int]] = {}
    for node in normalise(network).nodes:
        if "kernel" in node.attrs:
            kernel, bits = node.attrs["kernel"], int(node.attrs["quantizer"].args.get("bits", 1))
            each = kernel[..., 0] if node.op == "conv2d" else kernel[:, :, 0, 0]
            macs, weights = found.get(bits, (0, 0))
            found[bits] = (macs + node.type.size * each.size, weights + kernel.size)
    return found


def _without_products(network: Network) -> Network:
    """The same layers but for Multiply, whose inputs may differ in shape; what they multiply becomes an output."""
    products = {layer.name: layer.inputs for layer in network.layers if layer.class_name == "Multiply"}
    layers = tuple(
        replace(layer, inputs=tuple(products[name][0] if name in products else name for name in layer.inputs))
        for layer in network.layers
        if layer.name not in products
    )
    return replace(network, layers=layers, outputs=(*network.outputs, *(inputs[1] for inputs in products.values())))


def fitting(row: Row, graph: Graph, board: Board, folder: Path, goals: Sequence[str]) -> tuple[Compiled, Image] | None:
    """The first goal with which the model fits, and its image; sizes of it, or why none fits."""
    row.constants = sum(constants_bytes(select_kernels(graph, board, "flash")))
    for goal in goals:
        row.goal = goal
        try:
            compiled = compile_graph(graph, board, goal)
            row.arena, row.lower_bound = compiled.plan.arena_bytes, compiled.plan.lower_bound
            image = link(compiled, folder)
            row.regions = {name: used for name, used in image.used.items() if used}
            row.flash, row.ram = flash_bytes(image.used, board), ram_bytes(image.used, board)
            check_measured(image.used, board, Limits())
        except CheckFailed as error:
            row.refused = str(error)
            continue
        row.fits, row.refused = True, ""
        return compiled, image
    return None


def compiled_for_ram(row: Row, graph: Graph, board: Board, folder: Path, say: Say) -> Compiled:
    """The same with `--for ram`, whose image lies beside the other one."""
    with _timed(row, "compile for RAM", say):
        compiled = compile_graph(graph, board, "ram")
        image = link(compiled, folder.with_suffix(".ram"))
        check_measured(image.used, board, Limits())
    row.fused_arena, row.fused_ram = compiled.plan.arena_bytes, ram_bytes(image.used, board)
    return compiled


@contextmanager
def _timed(row: Row, what: str, say: Say) -> Iterator[None]:
    start = time.monotonic()
    try:
        yield
    finally:
        row.seconds[what] = round(time.monotonic() - start, 1)
        say(f"{row.name}: {what} {row.seconds[what]} s")
