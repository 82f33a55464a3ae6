"""The C protocol on this computer behind the `Transport` interface, and transports that disturb another one."""

from __future__ import annotations

import ctypes
import random
from collections.abc import Callable
from functools import cache
from pathlib import Path

from mcugen.errors import McugenError
from mcugen.protocol.transport import Transport
from mcugen.resources import data_dir
from mcugen.toolchain import compile_native

HERE = Path(__file__).parent
SOURCES = (
    *(HERE / name for name in ("native_device.c", "tiny_model.c")),
    *(data_dir("firmware") / f"{name}.c" for name in ("protocol", "queries", "link", "cobs", "crc32")),
)


@cache
def library(folder: Path) -> ctypes.CDLL:
    loaded = ctypes.CDLL(str(compile_native(SOURCES, [], folder / "device.so", shared=True)))
    loaded.device_send.restype = ctypes.c_size_t
    loaded.device_receive.argtypes = [ctypes.c_char_p, ctypes.c_size_t]
    return loaded


class NativePort:
    """protocol.c with the tiny model; one at a time."""

    name = "native"

    def __init__(self, folder: Path) -> None:
        self._library = library(folder)
        self._library.device_reset()

    def read(self, size: int, timeout: float) -> bytes:
        buffer = ctypes.create_string_buffer(size)
        sent = self._library.device_send(buffer, ctypes.c_size_t(size))
        return buffer.raw[:sent]

    def write(self, data: bytes) -> None:
        self._library.device_receive(data, len(data))

    def close(self) -> None:
        pass


class Disturbed:
    """Passes bytes through functions of (byte string, call number)."""

    def __init__(
        self,
        inner: Transport,
        outgoing: Callable[[bytes, int], bytes] = lambda data, call: data,
        incoming: Callable[[bytes, int], bytes] = lambda data, call: data,
    ) -> None:
        self.name = f"disturbed {inner.name}"
        self.inner, self.outgoing, self.incoming = inner, outgoing, incoming
        self.reads = self.writes = 0

    def read(self, size: int, timeout: float) -> bytes:
        self.reads += 1
        return self.incoming(self.inner.read(size, timeout), self.reads)

    def write(self, data: bytes) -> None:
        self.writes += 1
        self.inner.write(self.outgoing(data, self.writes))

    def close(self) -> None:
        self.inner.close()


class Silent:
    """A port on which nobody answers."""

    name = "silent"

    def read(self, size: int, timeout: float) -> bytes:
        return b""

    def write(self, data: bytes) -> None:
        pass

    def close(self) -> None:
        pass


class Canned(Silent):
    """Answers every request with the same bytes."""

    name = "canned"

    def __init__(self, answer: Callable[[bytes], bytes]) -> None:
        self.answer, self.waiting = answer, b""

    def read(self, size: int, timeout: float) -> bytes:
        data, self.waiting = self.waiting[:size], self.waiting[size:]
        return data

    def write(self, data: bytes) -> None:
        self.waiting += self.answer(data)


def closes_after(reads: int) -> Callable[[bytes, int], bytes]:
    """A cable pulled out after so many reads."""

    def incoming(data: bytes, call: int) -> bytes:
        if call > reads:
            raise McugenError("port", "the connection was lost (pulled out)", "check the cable and start again")
        return data

    return incoming


def noise(seed: int, share: float) -> Callable[[bytes, int], bytes]:
    """Flips one bit in this share of the bytes."""
    generator = random.Random(seed)

    def disturb(data: bytes, call: int) -> bytes:
        return bytes(b ^ (1 << generator.randrange(8)) if generator.random() < share else b for b in data)

    return disturb
