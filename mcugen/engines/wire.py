"""Bytes between a simulated UART and its client: in Python, and natively for speed."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from typing import Any, Protocol

from unicorn.unicorn_py3.unicorn import uclib

_SIZE = 65536
_READ = ctypes.CFUNCTYPE(ctypes.c_uint64, ctypes.c_uint32)
_WRITE = ctypes.CFUNCTYPE(None, ctypes.c_uint32, ctypes.c_uint64)


class Wire(Protocol):
    """Both directions; `open` says that the UART's set-up was checked, and bytes may leave unasked."""

    open: bool

    @property
    def waiting(self) -> bool:
        """Bytes wait for the firmware."""

    def push(self, data: bytes) -> None:
        """The client sends."""

    def pop(self) -> int:
        """The firmware takes a byte; 0 if there is none."""

    def put(self, byte: int) -> None:
        """The firmware sends."""

    def take(self, size: int) -> bytes:
        """The client takes up to `size` bytes."""


class PythonWire:
    """See `Wire`."""

    def __init__(self) -> None:
        self.open = False
        self._received, self._sent, self._at = bytearray(), bytearray(), 0

    @property
    def waiting(self) -> bool:
        return self._at < len(self._received)

    def push(self, data: bytes) -> None:
        self._received = self._received[self._at :] + data
        self._at = 0

    def pop(self) -> int:
        if not self.waiting:
            return 0
        self._at += 1
        return self._received[self._at - 1]

    def put(self, byte: int) -> None:
        self._sent.append(byte)

    def take(self, size: int) -> bytes:
        data = bytes(self._sent[:size])
        del self._sent[:size]
        return data


class _Wire(ctypes.Structure):
    _fields_ = [
        *((name, ctypes.c_uint32) for name in ("rx_at", "rx_end", "tx_end", "open")),
        ("read", _READ),
        ("write", _WRITE),
        ("rx", ctypes.c_uint8 * _SIZE),
        ("tx", ctypes.c_uint8 * _SIZE),
    ]


class NativeWire:
    """See `Wire`; `map` hands the UART's page to speed.c."""

    def __init__(self, library: ctypes.CDLL) -> None:
        library.wire_bytes.restype = ctypes.c_uint64
        if library.wire_bytes() != ctypes.sizeof(_Wire):
            raise AssertionError("speed.c and wire.py disagree")
        self._library, self._c = library, _Wire()
        self._later, self._sent = b"", bytearray()

    def map(self, uc: Any, page: int, read: Callable[[int], int], write: Callable[[int, int], None]) -> None:
        """Map the 4 KiB `page` of the UART; `read` and `write` serve the offsets that speed.c leaves over."""
        self._c.read, self._c.write = _READ(read), _WRITE(write)
        pointers = (ctypes.cast(f, ctypes.c_void_p) for f in (self._library.read_uart, self._library.write_uart))
        context = ctypes.cast(ctypes.pointer(self._c), ctypes.c_void_p)
        read_pointer, write_pointer = pointers
        map_page = _prototype(
            uclib.uc_mmio_map, ctypes.c_void_p, ctypes.c_uint64, ctypes.c_size_t, *(ctypes.c_void_p,) * 4
        )
        status = map_page(uc._uch, page, 0x1000, read_pointer, context, write_pointer, context)
        if status:
            raise AssertionError(f"uc_mmio_map: {status}")

    @property
    def open(self) -> bool:
        return bool(self._c.open)

    @open.setter
    def open(self, value: bool) -> None:
        self._c.open = value

    @property
    def waiting(self) -> bool:
        if self._c.rx_at == self._c.rx_end and self._later:
            now, self._later = self._later[:_SIZE], self._later[_SIZE:]
            ctypes.memmove(self._c.rx, now, len(now))
            self._c.rx_at, self._c.rx_end = 0, len(now)
        return bool(self._c.rx_at < self._c.rx_end)

    def push(self, data: bytes) -> None:
        self._later += data

    def pop(self) -> int:
        if not self.waiting:
            return 0
        self._c.rx_at += 1
        return int(self._c.rx[self._c.rx_at - 1])

    def put(self, byte: int) -> None:
        self._collect()
        self._sent.append(byte)

    def take(self, size: int) -> bytes:
        self._collect()
        data = bytes(self._sent[:size])
        del self._sent[:size]
        return data

    def _collect(self) -> None:
        self._sent += ctypes.string_at(self._c.tx, self._c.tx_end)
        self._c.tx_end = 0


def _prototype(function: Any, *arguments: Any) -> Any:
    """The same C function with other argument types."""
    kind = ctypes.CFUNCTYPE(ctypes.c_int, *arguments)
    return kind(ctypes.cast(function, ctypes.c_void_p).value or 0)
