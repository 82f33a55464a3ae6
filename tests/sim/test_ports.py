"""Ports of real devices and processes: a pseudo-terminal in place of a board, a simulator that ends, Renode's script."""

from __future__ import annotations

import os
import select
import subprocess
import sys
import threading
import time
import tty
from collections.abc import Iterator
from pathlib import Path

import pytest
from images import DIGEST, Images
from native_port import NativePort

from mcugen.boards import load_board
from mcugen.engines.renode import renode_script
from mcugen.engines.serial import SerialPort
from mcugen.engines.socket_port import LOG, SocketPort, free_port
from mcugen.errors import McugenError
from mcugen.protocol.client import Device
from tests.tools import need

X = bytes(range(8))
Y = bytes(range(2, 10))


class Terminal:
    """A pseudo-terminal with the native device at its other end."""

    def __init__(self, device: NativePort) -> None:
        self.master, slave = os.openpty()
        tty.setraw(slave)
        self.path = os.ttyname(slave)
        self._device, self._slave = device, slave
        self._pulled = threading.Event()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        while not self._pulled.is_set():
            if select.select([self.master], [], [], 0.01)[0]:
                self._device.write(os.read(self.master, 4096))
                os.write(self.master, self._device.read(1 << 16, 0))

    def pull(self) -> None:
        """Unplug the board."""
        if not self._pulled.is_set():
            self._pulled.set()
            self._thread.join(5)
            os.close(self._slave)
            os.close(self.master)


@pytest.fixture
def terminal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Terminal]:
    terminal = Terminal(NativePort(tmp_path_factory.getbasetemp()))
    yield terminal
    terminal.pull()


def test_a_board_on_a_serial_port(terminal: Terminal) -> None:
    with Device(SerialPort(terminal.path, 921_600), digest=DIGEST) as device:
        assert device.infer([X]).outputs == [Y]
        assert device.hello().board == "native"


def test_the_cable_is_pulled(terminal: Terminal) -> None:
    port = SerialPort(terminal.path, 921_600)
    device = Device(port, timeout=0.2)
    assert device.infer([X]).outputs == [Y]
    terminal.pull()
    with pytest.raises(McugenError, match="the connection was lost"):
        device.infer([X])
    port.close()
    with pytest.raises(McugenError, match="the connection was lost"):
        port.read(1, 0.1)


def test_a_simulator_that_ends(tmp_path: Path) -> None:
    (tmp_path / LOG).write_text("first line\nno such machine\n")
    process = subprocess.Popen([sys.executable, "-c", "raise SystemExit(7)"])
    with pytest.raises(McugenError, match=r"the simulator ended \(exit code 7\): no such machine"):
        SocketPort("qemu", free_port(), process, tmp_path)
    assert not tmp_path.exists()


def test_a_simulator_dies_half_way(images: Images) -> None:
    from mcugen.engines.qemu import start_qemu

    port = start_qemu(images.build("mps2-an500", "gcc").elf)
    device = Device(port)
    assert device.infer([X]).outputs == [Y]
    port._process.kill()
    with pytest.raises(McugenError, match=r"qemu: the simulator ended \(exit code -9\)"):
        device.infer([X])
    device.close()


@pytest.mark.parametrize("end", ["sys.exit()", "os.kill(os.getpid(), signal.SIGKILL)"])
def test_no_simulator_outlives_its_client(end: str, images: Images) -> None:
    need("setpriv")
    elf = images.build("mps2-an500", "gcc").elf
    code = f"""
import os, pathlib, signal, sys
from mcugen.engines.qemu import start_qemu
port = start_qemu(pathlib.Path({str(elf)!r}))
print(port._process.pid, flush=True)
{end}
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    status = Path(f"/proc/{int(done.stdout)}/status")
    deadline = time.monotonic() + 10
    while status.exists() and "zombie" not in status.read_text():
        assert time.monotonic() < deadline, "QEMU still runs"
        time.sleep(0.05)


def test_renode_script(tmp_path: Path) -> None:
    text = renode_script(tmp_path / "fw.elf", load_board("nucleo-h743zi"), 3456)
    for line in (
        "machine LoadPlatformDescription @platforms/cpus/stm32h743.repl",
        "cpu PerformanceInMips 400",
        f"sysbus LoadELF @{tmp_path.as_posix()}/fw.elf",
        "cpu VectorTableOffset 0x08000000",
        'emulation CreateServerSocketTerminal 3456 "uart" false',
        "connector Connect sysbus.usart3 uart",
    ):
        assert line in text.splitlines()
    assert "dwt: Miscellaneous.DWT @ sysbus 0xE0001000 { frequency: 400000000 }" in text
