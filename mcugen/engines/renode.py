"""Renode's STM32H743, where `renode` is installed: the very image that would be flashed, its UART over TCP."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from pathlib import Path

from mcugen.engines.socket_port import LOG, SocketPort, free_port
from mcugen.errors import McugenError
from mcugen.ir import Board


def renode_script(elf: Path, board: Board, port: int) -> str:
    """The monitor commands that load `elf`, add the cycle counter and offer USART3 on TCP `port`."""
    return f"""\
mach create "mcugen"
machine LoadPlatformDescription @platforms/cpus/stm32h743.repl
machine LoadPlatformDescriptionFromString "dwt: Miscellaneous.DWT @ sysbus 0xE0001000 {{ frequency: {board.clock_hz} }}"
cpu PerformanceInMips {board.clock_hz // 1_000_000}
sysbus LoadELF @{elf.resolve().as_posix()}
cpu VectorTableOffset {board.home("code").start:#010x}
emulation CreateServerSocketTerminal {port} "uart" false
connector Connect sysbus.usart3 uart
start
"""


def start_renode(elf: Path, board: Board) -> SocketPort:
    """Run `elf`, built for the STM32H743; the UART.

    Raises:
        McugenError: Renode is not on the PATH or does not start.
    """
    program = shutil.which("renode")
    if program is None:
        raise McugenError("renode", "renode is not on the PATH", "install Renode from renode.io, or use --on unicorn")
    port = free_port()
    folder = Path(tempfile.mkdtemp(prefix="mcugen-renode-"))
    script = folder / "mcugen.resc"
    script.write_text(renode_script(elf, board, port), encoding="utf-8")
    with (folder / LOG).open("wb") as output:
        command = [program, "--disable-xwt", "--console", "--plain", str(script)]
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=output, stderr=output)
    return SocketPort("renode", port, process, folder)
