"""Costs of a model's steps: a meter hooked into a simulator before it runs, asked afterwards."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from mcugen.elf import load_symbols
from mcugen.errors import McugenError
from mcugen.profile.model import Call, CoreRules, Counts, MemoryRules
from mcugen.profile.native import open_scoreboard
from mcugen.profile.symbols import find_function

_RUN = 1  # watch number of the run function; functions of steps follow


@dataclass(frozen=True)
class StepCounts:
    """Counts of one step: its function and everything that calls, from its entry to its return."""

    name: str
    counts: Counts


@dataclass(frozen=True)
class Measurement:
    """One inference. `total` spans the whole run function; what no step accounts for is `between`."""

    total: Counts
    steps: tuple[StepCounts, ...]

    @property
    def between(self) -> Counts:
        """The run function's own cost: calls, and whatever it does between the steps."""
        return self.total - sum((step.counts for step in self.steps), Counts())


class Meter:
    """Measures the inferences that a simulator executes while the meter is attached.

        with Meter(simulator.uc, elf, [("conv1", "net_conv1"), ("dense", "net_dense")], "net_run") as meter:
            ...  # let the simulator run one inference
        measurement = meter.last()

    Args:
        uc: the Unicorn engine, a Cortex-M7 in Thumb mode.
        elf: the image it runs, with symbols.
        steps: (step name, symbol of its function) in order of execution; several steps may share a function.
        run: symbol of the function that calls them.
        core, memory: what the model assumes.
        native: see `open_scoreboard`.

    Raises:
        McugenError: a symbol that is not in the ELF.
    """

    def __init__(
        self,
        uc: Any,
        elf: Path | str,
        steps: Sequence[tuple[str, str]],
        run: str,
        core: CoreRules | None = None,
        memory: MemoryRules | None = None,
        native: bool | None = None,
    ) -> None:
        table = load_symbols(Path(elf))
        self._steps, self._run = tuple(steps), run
        symbols = [run, *dict.fromkeys(symbol for _, symbol in steps)]
        self._watches = {symbol: k for k, symbol in enumerate(symbols, _RUN)}
        entries = {symbol: find_function(table, symbol, elf) for symbol in symbols}
        self._scoreboard = open_scoreboard(uc, core or CoreRules(), memory or MemoryRules(), native)
        for symbol, watch in self._watches.items():
            self._scoreboard.watch(entries[symbol], watch)

    def __enter__(self) -> Meter:
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self.detach()

    def detach(self) -> None:
        """Stops measuring; the results stay."""
        self._scoreboard.detach()

    def counts(self) -> Counts:
        """Counts of everything executed since the meter was attached, start-up and protocol included."""
        return self._scoreboard.counts()

    def all(self) -> list[Measurement]:
        """Every finished call of the run function, in order.

        Raises:
            McugenError: a step's function was called more or less often than steps name it.
        """
        self._scoreboard.counts()  # refuses code that the model could not decode
        measurements: list[Measurement] = []
        inner: list[Call] = []
        for call in reversed(self._scoreboard.calls()):
            if call.watch == _RUN:
                measurements.append(self._measurement(call, inner[::-1]))
                inner = []
            else:
                inner.append(call)
        return measurements[::-1]

    def last(self) -> Measurement:
        """The last finished call of the run function.

        Raises:
            McugenError: there was none.
        """
        measurements = self.all()
        if not measurements:
            fact = f"'{self._run}' did not run to its end while it was measured"
            raise McugenError("profile", fact, "let the simulator finish one inference")
        return measurements[-1]

    def _measurement(self, run: Call, inner: Sequence[Call]) -> Measurement:
        """Hands the calls made by the run function itself to the steps, in order for each function."""
        calls: dict[int, list[Call]] = defaultdict(list)
        for call in inner:
            if call.depth == run.depth + 1:
                calls[call.watch].append(call)
        self._check_numbers(calls)
        steps = (StepCounts(name, calls[self._watches[symbol]].pop(0).counts) for name, symbol in self._steps)
        return Measurement(run.counts, tuple(steps))

    def _check_numbers(self, calls: dict[int, list[Call]]) -> None:
        for symbol, watch in self._watches.items():
            named, called = [s for _, s in self._steps].count(symbol), len(calls[watch])
            if named != called and symbol != self._run:
                fact = f"'{symbol}' was called {called} times in one inference, but {named} steps name it"
                raise McugenError("profile", fact, "keep one call a step: __attribute__((noinline)) on its function")
