"""QEMU's MPS2 AN500 (Cortex-M7): an image built for board mps2-an500, its UART over TCP."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from pathlib import Path

from mcugen.engines.socket_port import LOG, SocketPort, free_port, mortal
from mcugen.errors import McugenError

PROGRAM = "qemu-system-arm"
INSTRUCTIONS_PER_TICK = 40 / 1024
"""With `count`: an instruction takes 1,024 ns, a tick of 25 MHz 40 ns, so that ticks tell every single instruction."""


def start_qemu(elf: Path, *, count: bool = False) -> SocketPort:
    """Run `elf`; the UART.

    Args:
        count: one instruction takes 1,024 ns of the guest's time, so that its 25 MHz ticks count instructions and
            repeat exactly; slower. Else ticks follow this computer's clock.

    Raises:
        McugenError: QEMU is not on the PATH or does not start.
    """
    program = shutil.which(PROGRAM)
    if program is None:
        raise McugenError("qemu", f"{PROGRAM} is not on the PATH", "install QEMU (Debian: apt-get install qemu-system-arm)")
    port = free_port()
    command = [program, "-M", "mps2-an500", "-kernel", str(elf), "-display", "none", "-monitor", "none"]
    command += ["-serial", f"tcp:127.0.0.1:{port},server=on,nodelay=on"]
    command += ["-icount", "shift=10,sleep=off"] if count else []
    folder = Path(tempfile.mkdtemp(prefix="mcugen-qemu-"))
    with (folder / LOG).open("wb") as log:
        process = subprocess.Popen(mortal(command), stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    return SocketPort("qemu", port, process, folder)
