"""A TCP connection as a transport, for simulators that offer their UART that way."""

from __future__ import annotations

import shutil
import socket
import subprocess
import time
import weakref
from pathlib import Path

from mcugen.errors import McugenError

START_S = 20.0
LOG = "output.log"
_REMEDY = "start the engine again; if it ends by itself, run its command by hand"


class SocketPort:
    """A UART at 127.0.0.1:`port` of the simulator `process`, which is ended with it, at the latest when Python ends.

    `folder` is the simulator's own, with what it prints in LOG; it is removed at the end.

    Raises:
        McugenError: the process ended or did not listen within 20 seconds.
    """

    def __init__(self, name: str, port: int, process: subprocess.Popen[bytes], folder: Path) -> None:
        self.name, self._process, self._folder = name, process, folder
        self._finish = weakref.finalize(self, _end, process, folder)
        deadline = time.monotonic() + START_S
        while True:
            try:
                self._socket = socket.create_connection(("127.0.0.1", port), timeout=1.0)
                break
            except OSError as error:
                if process.poll() is not None:
                    raise self._ended() from error
                if time.monotonic() > deadline:
                    self._finish()
                    raise McugenError(name, f"does not listen on port {port} within {START_S:.0f} s", _REMEDY) from error
                time.sleep(0.02)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def read(self, size: int, timeout: float) -> bytes:
        """See `Transport.read`."""
        self._socket.settimeout(max(timeout, 0.001))
        try:
            data = self._socket.recv(size)
        except TimeoutError:
            return b""
        except OSError as error:
            raise self._ended() from error
        if not data:
            raise self._ended()
        return data

    def write(self, data: bytes) -> None:
        self._socket.settimeout(START_S)
        try:
            self._socket.sendall(data)
        except OSError as error:
            raise self._ended() from error

    def close(self) -> None:
        self._socket.close()
        self._finish()

    def _ended(self) -> McugenError:
        _end_process(self._process)
        log = self._folder / LOG
        lines = log.read_text(errors="replace").strip().splitlines() if log.exists() else []
        self._finish()
        said = f": {lines[-1]}" if lines else ""
        return McugenError(self.name, f"the simulator ended (exit code {self._process.returncode}){said}", _REMEDY)


def _end_process(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(5)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait(5)


def _end(process: subprocess.Popen[bytes], folder: Path) -> None:
    _end_process(process)
    shutil.rmtree(folder, ignore_errors=True)


def mortal(command: list[str]) -> list[str]:
    """The command, ended by Linux when the thread that started it ends, even by a signal (util-linux's setpriv)."""
    setpriv = shutil.which("setpriv")
    return [setpriv, "--pdeathsig", "KILL", *command] if setpriv else command


def free_port() -> int:
    """A TCP port of this computer that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
