"""Places every tensor and scratch buffer in the board's memories by lifetime; an independent check follows.

Time is the index of the call; inputs live from -1, outputs until after the last call.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mcugen.errors import CheckFailed
from mcugen.ir import Board, Graph, Region
from mcugen.ops.base import Call

ALIGN = 8


@dataclass(frozen=True)
class Buffer:
    """Bytes that live from call `first` to call `last`, both included; `tensors` share it one after another."""

    tensors: tuple[str, ...]
    bytes: int
    first: int
    last: int


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
    """All places; `lower_bound` is the largest sum of bytes alive at once, which no plan can undercut."""

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


def plan_memory(graph: Graph, calls: Sequence[Call], board: Board, reserved: Mapping[str, int] | None = None) -> Plan:
    """Largest buffers first, each at the lowest free offset of the first bank that has room.

    `reserved`: bytes of each region that stack and firmware data take (default: what the board file says).

    Raises:
        CheckFailed: a buffer fits no bank; names the buffer and the banks.
    """
    buffers = make_buffers(graph, calls)
    taken = firmware_bytes(board) if reserved is None else reserved
    room = {region.name: region.size - taken.get(region.name, 0) for region in arena_regions(board)}
    placed: list[Place] = []
    for buffer in sorted(buffers, key=lambda b: (-b.bytes, b.first, b.tensors)):
        place = next((p for bank in room if (p := _lowest(buffer, bank, placed)).end <= room[bank]), None)
        if place is None:
            banks = ", ".join(f"{name} {size:,}" for name, size in room.items())
            fact = f"{buffer.bytes:,} bytes fit no memory beside what lives at the same time (free: {banks})"
            raise CheckFailed(buffer.tensors[0], fact, "make the layer smaller, use --for ram or a larger board")
        placed.append(place)
    used = tuple(bank for bank in room if any(place.bank == bank for place in placed))
    plan = Plan(tuple(placed), used, lower_bound(buffers), len(calls))
    check_plan(plan)
    return plan


def arena_regions(board: Board) -> list[Region]:
    """Memories that may hold tensors, in the board file's order of preference."""
    return [region for region in board.regions if "arena" in region.use]


def firmware_bytes(board: Board) -> dict[str, int]:
    """Bytes of each region that the firmware itself needs: its stack and its variables."""
    taken: dict[str, int] = {}
    for use, limit in (("stack", "stack_bytes"), ("data", "data_bytes")):
        name = board.home(use).name
        taken[name] = taken.get(name, 0) + board.limits.get(limit, 0)
    return taken


def make_buffers(graph: Graph, calls: Sequence[Call]) -> list[Buffer]:
    """One buffer a tensor, joined where a kernel may write over an input that nobody reads later."""
    last: dict[str, int] = dict.fromkeys(graph.inputs, -1)
    made: dict[str, int] = dict.fromkeys(graph.inputs, -1)
    for time, call in enumerate(calls):
        made[call.node.name] = last[call.node.name] = time
        last.update(dict.fromkeys(call.node.inputs, time))
    last.update({name: len(calls) for name in graph.outputs})
    group = {name: name for name in made}
    for time, call in enumerate(calls):
        for i in call.kernel.in_place(call.node, call.sources):
            source = call.node.inputs[i]
            view = not call.kernel.template
            if view or (last[source] == time and _once(call, source) and _sole(group, source, last, time)):
                group[call.node.name] = group[source]
                break
    sizes = {name: graph[name].type.bytes for name in made}
    buffers = []
    for root in dict.fromkeys(group.values()):
        members = tuple(name for name in made if group[name] == root)
        size = max(sizes[name] for name in members)
        first, end = min(made[name] for name in members), max(last[name] for name in members)
        buffers.append(Buffer(members, -(-size // ALIGN) * ALIGN, first, end))
    for time, call in enumerate(calls):
        if call.scratch_bytes:
            size = -(-call.scratch_bytes // ALIGN) * ALIGN
            buffers.append(Buffer((f"{call.node.name}/scratch",), size, time, time))
    return buffers


def _once(call: Call, source: str) -> bool:
    """The call reads the tensor as one operand only, or is done with its first input before it writes."""
    return call.node.inputs[1:].count(source) + (call.node.inputs[0] == source and not call.kernel.input_first) <= 1


def _sole(group: Mapping[str, str], source: str, last: Mapping[str, int], time: int) -> bool:
    """No other tensor in the source's buffer (a view of it, say) is read after this call."""
    return all(last[name] <= time for name, root in group.items() if root == group[source] and name in last)


def _lowest(buffer: Buffer, bank: str, placed: Sequence[Place]) -> Place:
    offset = 0
    for other in sorted((p for p in placed if p.bank == bank and _overlap(p.buffer, buffer)), key=lambda p: p.offset):
        if other.offset - offset >= buffer.bytes:
            break
        offset = max(offset, other.end)
    return Place(buffer, bank, offset)


def _overlap(a: Buffer, b: Buffer) -> bool:
    return a.first <= b.last and b.first <= a.last


def lower_bound(buffers: Sequence[Buffer]) -> int:
    """Bytes alive at the busiest call."""
    times = {buffer.first for buffer in buffers}
    return max(sum(b.bytes for b in buffers if b.first <= time <= b.last) for time in times)


def check_plan(plan: Plan) -> None:
    """Independent of how the plan was made: no two buffers alive at once share a byte. Raises AssertionError."""
    for time in range(-1, plan.calls + 1):
        alive = [place for place in plan.places if place.buffer.first <= time <= place.buffer.last]
        for bank in plan.banks:
            spans = sorted((p.offset, p.end) for p in alive if p.bank == bank)
            for (_, end), (start, _) in zip(spans, spans[1:], strict=False):
                if end > start:
                    raise AssertionError(f"two buffers share bytes {start}..{end} of {bank} at call {time}")
