"""From calls to buffers: lifetimes, sizes, and which pairs may overlap although both live during one call.

Time is the index of the call; inputs live from -1, outputs until after the last call.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mcugen.ir import Graph, TensorType
from mcugen.ops.base import Call

ALIGN = 8


@dataclass(frozen=True)
class Buffer:
    """Bytes that live from call `first` to call `last`, both included; `tensors` share it one after another.

    over: (first tensor of another buffer, lead): this one may overlap that one if it starts `lead` bytes before it.
    barred: banks where it may not lie.
    """

    tensors: tuple[str, ...]
    bytes: int
    first: int
    last: int
    over: tuple[tuple[str, int], ...] = ()
    barred: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        return self.tensors[0]

    @property
    def scratch(self) -> bool:
        return self.name.endswith("/scratch")

    def meets(self, other: Buffer) -> bool:
        """Whether both live at one time."""
        return self.first <= other.last and other.first <= self.last


def make_buffers(graph: Graph, calls: Sequence[Call], keep_inputs: bool = False) -> list[Buffer]:
    """One buffer a tensor, joined where a kernel writes exactly over an input that nobody reads later; one for each scratch.

    keep_inputs: the inputs must still be there after the last call.
    """
    made, last = _lifetimes(graph, calls, keep_inputs)
    group = _groups(calls, made, last)
    sizes = {name: graph[name].type.bytes for name in graph.inputs} | {c.node.name: c.node.type.bytes for c in calls}
    members: dict[str, list[str]] = {}
    for name in made:
        members.setdefault(group[name], []).append(name)
    ends = {root: max(last[name] for name in names) for root, names in members.items()}
    over: dict[str, list[tuple[str, int]]] = {}
    for time, call in enumerate(calls):
        root = group[call.node.name]
        for source in dict.fromkeys(call.node.inputs):
            lead = _lead(call, source, group)
            if lead is not None and group[source] != root and ends[group[source]] == time and made[root] == time:
                over.setdefault(root, []).append((group[source], round_up(lead)))
    buffers = [
        Buffer(tuple(names), round_up(max(sizes[name] for name in names)), made[root], ends[root], tuple(over.get(root, ())))
        for root, names in members.items()
    ]
    for time, call in enumerate(calls):
        if call.scratch_bytes:
            buffers.append(Buffer((f"{call.node.name}/scratch",), round_up(call.scratch_bytes), time, time))
    return buffers


def round_up(size: int) -> int:
    return -(-size // ALIGN) * ALIGN


def _lifetimes(graph: Graph, calls: Sequence[Call], keep_inputs: bool) -> tuple[dict[str, int], dict[str, int]]:
    """Call that makes each tensor, and the last that reads it."""
    made = dict.fromkeys(graph.inputs, -1)
    last = dict.fromkeys(graph.inputs, len(calls) if keep_inputs else -1)
    for time, call in enumerate(calls):
        made[call.node.name] = last[call.node.name] = time
        for name in call.node.inputs:
            last[name] = max(last[name], time)
    last.update({name: len(calls) for name in graph.outputs})
    return made, last


def _groups(calls: Sequence[Call], made: Mapping[str, int], last: Mapping[str, int]) -> dict[str, str]:
    """Tensor -> the first tensor of its buffer."""
    group = {name: name for name in made}
    for time, call in enumerate(calls):
        for i in call.kernel.in_place(call.node, call.sources):
            source = call.node.inputs[i]
            view = not call.kernel.template
            if view or (last[source] == time and _once(call, i, group) and _sole(group, source, last, time)):
                group[call.node.name] = group[source]
                break
    return group


def _once(call: Call, i: int, group: Mapping[str, str]) -> bool:
    """The call reads the buffer as its input i only, or is done with its first input before it writes."""
    names = call.node.inputs
    reads = [k for k, name in enumerate(names) if group[name] == group[names[i]] and k != i]
    return not reads or (reads == [0] and call.kernel.input_first)


def _sole(group: Mapping[str, str], source: str, last: Mapping[str, int], time: int) -> bool:
    """No other tensor in the source's buffer (a view of it, say) is read after this call."""
    return all(last[name] <= time for name, root in group.items() if root == group[source] and name in last)


def _lead(call: Call, source: str, group: Mapping[str, str]) -> int | None:
    """Bytes by which the call's output must start before this input to overlap it; None: they stay apart."""
    if sum(group[name] == group[source] for name in call.node.inputs) > 1:
        return None
    i = call.node.inputs.index(source)
    kind = call.sources[i]
    return call.leads[i] if _same_memory(kind, call.node.type) else None


def _same_memory(a: TensorType, b: TensorType) -> bool:
    """C may see the same bytes through both types."""
    types = [kind.c_type.removeprefix("u") for kind in (a, b)]
    return types[0] == types[1] or "int8_t" in types


def lower_bound(buffers: Sequence[Buffer]) -> int:
    """Bytes that the busiest call needs whatever the plan; pairs that may overlap count as long as their union must be."""
    return max(needed(buffers, time) for time in {b.first for b in buffers})


def needed(buffers: Sequence[Buffer], time: int) -> int:
    """Bytes that the call at `time` needs, whatever the plan."""
    alive = [b for b in buffers if b.first <= time <= b.last]
    by_name = {buffer.name: buffer for buffer in alive}
    total = sum(buffer.bytes for buffer in alive)
    for out in alive:
        if out.first == time and out.over:
            inputs = [(by_name[name].bytes, lead) for name, lead in out.over]
            together = sum(size for size, _ in inputs)
            spans = [max(out.bytes, min(lead, out.bytes) + size) for size, lead in inputs]
            total -= out.bytes + together - max(together, *spans)
    return total
