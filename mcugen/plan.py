"""Places every tensor and scratch buffer in the board's memories; the work is in mcugen/planning/."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from mcugen.errors import CheckFailed
from mcugen.ir import Board, Graph, Region
from mcugen.ops.base import Call
from mcugen.planning.banks import place_buffers
from mcugen.planning.buffers import Buffer, make_buffers
from mcugen.planning.check import check_places


@dataclass(frozen=True)
class Place:
    """Where a buffer lies: bank (region name) and byte offset in that bank's arena."""

    buffer: Buffer
    bank: str
    offset: int

    @property
    def end(self) -> int:
        return self.offset + self.buffer.bytes


@dataclass(frozen=True)
class Plan:
    """All places; `lower_bound`: bytes that no plan can undercut, over however many banks."""

    places: tuple[Place, ...]
    banks: tuple[str, ...]
    lower_bound: int
    calls: int

    @property
    def of(self) -> dict[str, Place]:
        """Place by tensor name; a call's scratch is named "CALL/scratch"."""
        return {tensor: place for place in self.places for tensor in place.buffer.tensors}

    def bank_bytes(self, bank: str) -> int:
        return max((place.end for place in self.places if place.bank == bank), default=0)

    @property
    def arena_bytes(self) -> int:
        return sum(self.bank_bytes(bank) for bank in self.banks)

    @property
    def optimal(self) -> bool:
        """No smaller plan exists."""
        return self.arena_bytes == self.lower_bound

    @property
    def gap(self) -> float:
        """Share of the lower bound by which the arena exceeds it."""
        return self.arena_bytes / self.lower_bound - 1 if self.lower_bound else 0.0


def plan_memory(
    graph: Graph,
    calls: Sequence[Call],
    board: Board,
    reserved: Mapping[str, int] | None = None,
    goal: str = "time",
    keep_inputs: bool = False,
) -> Plan:
    """All buffers in the banks of the board.

    `reserved`: bytes of each region that stack and firmware data take (default: what the board file says).
    `keep_inputs`: nothing may overwrite the inputs, which can then be used again.

    Raises:
        CheckFailed: a buffer fits no bank; names the buffer and the banks.
    """
    room = free_bytes(board, reserved)
    buffers = make_buffers(graph, calls, keep_inputs)
    barred = tuple(region.name for region in arena_regions(board) if "no_io" in region.use)
    ends = {*graph.inputs, *graph.outputs}
    buffers = [replace(b, barred=barred) if barred and not ends.isdisjoint(b.tensors) else b for b in buffers]
    found = place_buffers(buffers, room, compact=goal != "time")
    if isinstance(found, Buffer):
        banks = ", ".join(f"{name} {size:,}" for name, size in room.items())
        fact = f"{found.bytes:,} bytes fit no memory beside what lives at the same time (free: {banks})"
        raise CheckFailed(found.name, fact, "make the layer smaller, use --for ram or a larger board")
    spots, bound = found
    places = tuple(Place(buffers[i], *spots[i]) for i in range(len(buffers)))
    plan = Plan(places, tuple(bank for bank in room if any(p.bank == bank for p in places)), bound, len(calls))
    check_places(graph, calls, plan.of, {bank: plan.bank_bytes(bank) for bank in plan.banks}, keep_inputs)
    return plan


def free_bytes(board: Board, reserved: Mapping[str, int] | None = None) -> dict[str, int]:
    """Bytes of every memory for tensors that stack and firmware leave free, in order of preference."""
    taken = firmware_bytes(board) if reserved is None else reserved
    return {region.name: region.size - taken.get(region.name, 0) for region in arena_regions(board)}


def largest_room(board: Board, reserved: Mapping[str, int] | None = None) -> int:
    return max(free_bytes(board, reserved).values())


def arena_regions(board: Board) -> list[Region]:
    """Memories that may hold tensors, in the board file's order of preference."""
    return [region for region in board.regions if "arena" in region.use]


def firmware_bytes(board: Board) -> dict[str, int]:
    """Bytes of each region that the firmware itself needs: its stack, its variables, the buffers of its serial line."""
    taken: dict[str, int] = {}
    for use, limit in (("stack", "stack_bytes"), ("data", "data_bytes"), ("buffers", "buffers_bytes")):
        name = board.home(use).name
        taken[name] = taken.get(name, 0) + board.limits.get(limit, 0)
    return taken
