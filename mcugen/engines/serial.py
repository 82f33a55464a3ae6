"""A board on a serial port, by any URL that pyserial knows."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

import serial

from mcugen.errors import McugenError


class SerialPort:
    """A serial port; `url` is a device name or a pyserial URL such as socket://host:port.

    Raises:
        McugenError: there is no such port, or another program holds it.
    """

    def __init__(self, url: str, baud: int) -> None:
        self.name = url
        try:
            if url.startswith(("socket://", "rfc2217://")) and urlsplit(url).port is None:
                raise McugenError(url, "names no port", f"write it as {url.partition(':')[0]}://HOST:PORT")
            self._port: Any = serial.serial_for_url(url, baudrate=baud, timeout=0, write_timeout=5.0)
        except (serial.SerialException, OSError, ValueError) as error:
            reason = f"cannot be opened ({error})"
            raise McugenError(url, reason, "plug the board in and close other programs that use the port") from error

    def read(self, size: int, timeout: float) -> bytes:
        """See `Transport.read`: waits for the first byte, then takes what is there."""
        try:
            self._port.timeout = timeout
            first = bytes(self._port.read(1))
            if not first:
                return b""
            more = min(size - 1, int(self._port.in_waiting))
            return first + (bytes(self._port.read(more)) if more > 0 else b"")
        except (serial.SerialException, OSError, TypeError) as error:
            raise self._lost(error) from error

    def write(self, data: bytes) -> None:
        try:
            self._port.write(data)
        except (serial.SerialException, OSError, TypeError) as error:
            raise self._lost(error) from error

    def close(self) -> None:
        self._port.close()

    def _lost(self, error: Exception) -> McugenError:
        return McugenError(self.name, f"the connection was lost ({error})", "check the cable and start again")
