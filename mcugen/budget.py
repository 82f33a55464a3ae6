"""Flash and RAM against their limits: estimated before anything is compiled, measured from the ELF afterwards."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mcugen.elf import Symbols
from mcugen.errors import CheckFailed
from mcugen.ir import Board
from mcugen.ops.base import Call, Constant
from mcugen.plan import Plan


@dataclass(frozen=True)
class Limits:
    """Bytes; None is what the board has."""

    flash: int | None = None
    ram: int | None = None


@dataclass(frozen=True)
class LayerSize:
    """Bytes of one layer: constants and code in flash, output and scratch in RAM."""

    layer: str
    op: str
    kernel: str
    weights: int
    tables: int
    code: int
    arena: int

    @property
    def flash(self) -> int:
        return self.weights + self.tables + self.code


def distinct_constants(calls: Sequence[Call]) -> list[tuple[Call, list[Constant]]]:
    """The constants of every call that no call before it has: identical tables are stored once."""
    known: set[tuple[str, bytes]] = set()
    found = []
    for call in calls:
        mine = {constant.content: constant for constant in call.constants}
        found.append((call, [constant for content, constant in mine.items() if content not in known]))
        known.update(mine)
    return found


def constants_bytes(calls: Sequence[Call]) -> tuple[int, int]:
    """(weights, other tables) in bytes, before compilation; output stages come on top."""
    constants = [constant for _, distinct in distinct_constants(calls) for constant in distinct]
    weights = sum(c.values.nbytes for c in constants if c.role == "weights")
    return weights, sum(c.values.nbytes for c in constants) - weights


def check_estimate(calls: Sequence[Call], plan: Plan, board: Board, limits: Limits) -> None:
    """Refuses what cannot fit whatever the compiler does: weights alone over flash, arena alone over RAM."""
    flash, ram = flash_limit(board, limits), ram_limit(board, limits)
    weights, tables = constants_bytes(calls)
    if weights + tables > flash:
        sizes = [(sum(each.values.nbytes for each in distinct), call.node.name) for call, distinct in distinct_constants(calls)]
        names = ", ".join(f"{name} {size:,}" for size, name in sorted(sizes, reverse=True)[:3])
        fact = f"its weights and tables take {weights + tables:,} bytes of {flash:,} in flash (largest: {names})"
        raise CheckFailed("budget", fact, "use fewer bits or channels in the largest layers")
    if plan.arena_bytes > ram:
        fact = f"its tensors take {plan.arena_bytes:,} bytes of {ram:,} in RAM (no plan needs less than {plan.lower_bound:,})"
        raise CheckFailed("budget", fact, "make the largest tensors smaller or use --for ram")


def check_measured(used: Mapping[str, int], board: Board, limits: Limits) -> None:
    """The ELF's regions against the limits; raises CheckFailed naming what is over and by how much."""
    for what, size, limit in (
        ("flash", flash_bytes(used, board), flash_limit(board, limits)),
        ("RAM", ram_bytes(used, board), ram_limit(board, limits)),
    ):
        if size > limit:
            remedy = "use fewer bits or channels in the largest layers, or --for " + ("flash" if what == "flash" else "ram")
            raise CheckFailed("budget", f"{what} takes {size:,} bytes of {limit:,}, {size - limit:,} too many", remedy)


def flash_bytes(used: Mapping[str, int], board: Board) -> int:
    return used[board.home("code").name]


def ram_bytes(used: Mapping[str, int], board: Board) -> int:
    return sum(used.values()) - flash_bytes(used, board)


def flash_limit(board: Board, limits: Limits) -> int:
    return min(board.home("code").size, limits.flash if limits.flash is not None else 1 << 40)


def ram_limit(board: Board, limits: Limits) -> int:
    total = sum(region.size for region in board.regions if region.name != board.home("code").name)
    return min(total, limits.ram if limits.ram is not None else 1 << 40)


def layer_sizes(calls: Sequence[Call], steps: Mapping[str, str], plan: Plan, symbols: Symbols) -> tuple[LayerSize, ...]:
    """What every layer takes, read from the symbols of the ELF (their names start with the step's).

    A function or table that several steps share counts where it is used first.
    """
    rows, places, counted = [], plan.of, set[str]()
    for call in calls:
        name = call.node.name
        prefix = steps.get(name, "\0")
        prefix = "\0" if prefix in counted else prefix
        counted.add(prefix)
        mine = [s for s in symbols.all if s.name == prefix or s.name.startswith(f"{prefix}_") or s.name.startswith(f"{prefix}.")]
        weights = {f"{prefix}_{c.name}" for c in call.constants if c.role == "weights"}
        rows.append(
            LayerSize(
                name,
                call.node.op,
                call.kernel.name,
                sum(s.size for s in mine if s.name in weights),
                sum(s.size for s in mine if s.name not in weights and not s.function),
                sum(s.size for s in mine if s.function),
                places[name].buffer.bytes + call.scratch_bytes,
            )
        )
    return tuple(rows)
