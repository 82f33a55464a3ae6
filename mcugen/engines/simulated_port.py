"""A simulated UART as a transport."""

from __future__ import annotations

from collections.abc import Callable

from mcugen.engines.wire import Wire
from mcugen.errors import McugenError


class SimulatedPort:
    """Runs the chip while its client reads; `run` goes on until the firmware sleeps."""

    name = "unicorn"

    def __init__(self, run: Callable[[], None], wire: Wire) -> None:
        self._run, self._wire = run, wire
        self._broken: McugenError | None = None

    def read(self, size: int, timeout: float) -> bytes:
        """See `Transport.read`; never waits for time to pass."""
        if self._broken is not None:
            raise self._broken
        data = self._wire.take(size)
        if data:
            return data
        try:
            self._run()
        except McugenError as error:
            self._broken = error
            raise
        return self._wire.take(size)

    def write(self, data: bytes) -> None:
        self._wire.push(data)

    def close(self) -> None:
        self._broken = McugenError("unicorn", "the port is closed", "start the engine again")
