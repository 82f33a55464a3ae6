"""What an engine offers to the protocol: a byte pipe to a device."""

from __future__ import annotations

from typing import Protocol


class Transport(Protocol):
    """A byte pipe with time limits. A pipe that broke raises `McugenError` from every call but `close`."""

    @property
    def name(self) -> str:
        """What the user calls it, for messages: a port or an engine."""

    def read(self, size: int, timeout: float) -> bytes:
        """At least one and at most `size` bytes.

        Empty after `timeout` seconds without any, or earlier when waiting on is in vain (a simulated device sleeps).
        """

    def write(self, data: bytes) -> None:
        """Send all of `data`."""

    def close(self) -> None:
        """Give the port or process back; may be called twice."""
