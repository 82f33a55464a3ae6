"""A simulated UART as a transport."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from mcugen.errors import McugenError


class SimulatedPort:
    """Runs the chip while its client reads.

    Args:
        run: goes on until the firmware sleeps.
        received: bytes on their way to the firmware; sent: bytes from it.
    """

    name = "unicorn"

    def __init__(self, run: Callable[[], None], received: deque[int], sent: bytearray) -> None:
        self._run, self._received, self._sent = run, received, sent
        self._broken: McugenError | None = None

    def read(self, size: int, timeout: float) -> bytes:
        """See `Transport.read`; never waits for time to pass."""
        if self._broken is not None:
            raise self._broken
        try:
            if not self._sent:
                self._run()
        except McugenError as error:
            self._broken = error
            raise
        data = bytes(self._sent[:size])
        del self._sent[:size]
        return data

    def write(self, data: bytes) -> None:
        self._received.extend(data)

    def close(self) -> None:
        self._broken = McugenError("unicorn", "the port is closed", "start the engine again")
