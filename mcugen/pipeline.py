"""The whole compiler: a file becomes an integer graph, calls, a memory plan and C; each step a pure function."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from mcugen.boards import load_board
from mcugen.codegen.emit import Sources, emit, graph_digest
from mcugen.errors import CheckFailed
from mcugen.ir import Board, Graph, Network
from mcugen.load import load
from mcugen.normalise import normalise
from mcugen.numerics.requantize import requantize
from mcugen.ops.base import Call
from mcugen.plan import Plan, firmware_bytes, free_bytes, largest_room, plan_memory
from mcugen.planning.save_ram import save_ram
from mcugen.quantise import InputGrid, quantise
from mcugen.select import select_kernels
from mcugen.simplify.absorb import absorb_signs
from mcugen.simplify.dead_channels import drop_dead_channels
from mcugen.simplify.fuse import fuse
from mcugen.simplify.idle import drop_idle


@dataclass(frozen=True)
class Compiled:
    """Everything the compiler decided about one model on one board; `goal` is what it was asked to save."""

    graph: Graph
    board: Board
    calls: tuple[Call, ...]
    plan: Plan
    sources: Sources
    goal: str = "time"


def integer_graph(path: Path | str, grid: InputGrid | None = None) -> Graph:
    """The verified integer graph of a model file; what `mcugen.interpret` gives meaning to."""
    return lower(load(path), grid)


def lower(network: Network, grid: InputGrid | None = None) -> Graph:
    """Layers -> integer graph."""
    graph = normalise(drop_idle(network))
    graph = quantise(graph, grid)
    return requantize(drop_dead_channels(fuse(graph)))


def compile_graph(
    graph: Graph,
    board: Board,
    goal: str = "time",
    reserved: Mapping[str, int] | None = None,
    ram_limit: int | None = None,
    keep_inputs: bool = False,
) -> Compiled:
    """Kernels, memory and C for an integer graph.

    ram_limit: bytes for arena, stack and firmware; rows are fused until that fits, but no further (None: the board's).
    keep_inputs: nothing overwrites the inputs.
    """
    shaped = absorb_signs(graph) if goal == "time" else graph
    calls = select_kernels(shaped, board, goal)
    if goal == "ram":
        calls = save_ram(shaped, calls, keep_inputs=keep_inputs)
    room = sum(free_bytes(board, reserved).values())
    if ram_limit is not None:
        room = min(room, ram_limit - sum(firmware_bytes(board).values()))
    plan = None
    try:
        plan = plan_memory(shaped, calls, board, reserved, goal, keep_inputs)
    except CheckFailed:
        if goal == "ram":
            raise
    if plan is None or (plan.arena_bytes > room and goal != "ram"):
        calls = save_ram(shaped, calls, min(room, largest_room(board, reserved)), swap=False, keep_inputs=keep_inputs)
        plan = plan_memory(shaped, calls, board, reserved, "ram" if ram_limit is not None else goal, keep_inputs)
    return Compiled(graph, board, calls, plan, emit(shaped, calls, plan, graph_digest(graph)), goal)


def compile_model(path: Path | str, board: str = "nucleo-h743zi", goal: str = "time", grid: InputGrid | None = None) -> Compiled:
    """From a model file to C for a board."""
    return compile_graph(integer_graph(path, grid), load_board(board), goal)
