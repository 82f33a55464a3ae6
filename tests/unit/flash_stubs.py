"""A build folder made by hand, and stand-ins for flash tools that record what they are given and say what they are told."""

from __future__ import annotations

import hashlib
import json
import shlex
import struct
from pathlib import Path

import pytest

FLASH = 0x08000000
SERIAL = "066BFF303032424257021525"
OTHER = "004000283431510D33353834"
NO_SUCH_PROBE = "000000000000000000000000"
IMAGE = bytes(range(256)) * 8

# What openocd 0.12.0, stlink 1.7.0 and pyOCD 0.46.0 say without a board: recorded. Everything they say with a board, and
# all of STM32CubeProgrammer, is put together from messages in these programs and in public reports: no board was at hand.
OPENOCD_HEAD = """Open On-Chip Debugger 0.12.0
Licensed under GNU GPL v2
For bug reports, read
\thttp://openocd.org/doc/doxygen/bugs.html
Info : The selected transport took over low-level target control. The results might differ compared to plain JTAG/SWD
srst_only separate srst_nogate srst_open_drain connect_deassert_srst

Info : clock speed 1800 kHz
"""
OPENOCD_TAIL = "in procedure 'program'\n** OpenOCD init failed **\nshutdown command invoked\n\n"
OPENOCD_FOUND = OPENOCD_HEAD + "Info : STLINK V3J10M3 (API v3) VID:PID 0483:374E\nInfo : Target voltage: 3.302400\n"
OPENOCD_GOOD = (
    OPENOCD_FOUND + "** Programming Started **\nInfo : Device: STM32H74x/75x\n** Programming Finished **\n"
    "** Verify Started **\n** Verified OK **\n** Resetting Target **\nshutdown command invoked\n"
)
ST_FLASH_FOUND = "st-flash 1.7.0\nINFO common.c: H74x/H75x: 128 KiB SRAM, 2048 KiB flash in at least 128 KiB pages.\n"
ST_FLASH_GOOD = ST_FLASH_FOUND + "2048/2048 bytes written\nINFO common.c: Flash written and verified! jolly good!\n"
PYOCD_GOOD = "0000972 I Loading firmware.bin at 0x08000000 [load_cmd]\nComparing 2048 bytes @ 0x08000000\nAll 2048 bytes match.\n"
CUBE_FOUND = "ST-LINK SN  : 066B\nVoltage     : 3.26V\nDevice ID   : 0x450\nRevision ID : Rev V\n"
CUBE_GOOD = CUBE_FOUND + "File download complete\nDownload verified successfully \nMCU Reset\n"
GOOD = {"openocd": OPENOCD_GOOD, "st-flash": ST_FLASH_GOOD, "pyocd": PYOCD_GOOD, "STM32_Programmer_CLI": CUBE_GOOD}


def elf(content: bytes, address: int = FLASH) -> bytes:
    """A 32-bit Arm ELF file with one loaded segment."""
    ident = b"\x7fELF\x01\x01\x01".ljust(16, b"\0")
    header = struct.pack("<16sHHIIIIIHHHHHH", ident, 2, 40, 1, address, 52, 0, 0x05000400, 52, 32, 1, 40, 0, 0)
    return header + struct.pack("<8I", 1, 84, address, address, len(content), len(content), 5, 4) + content


def make_folder(folder: Path, content: bytes = IMAGE, **changes: str) -> Path:
    """What `mcugen build` leaves behind, as far as flashing reads it."""
    folder.mkdir(exist_ok=True)
    (folder / "firmware.elf").write_bytes(elf(content))
    (folder / "firmware.bin").write_bytes(content)
    manifest = {"schema": 1, "model": "m", "board": "nucleo-h743zi", "digest": "00" * 16, "toolchain": "gcc"}
    manifest |= {"binary_sha256": hashlib.sha256(content).hexdigest(), **changes}
    (folder / "mcugen.json").write_text(json.dumps(manifest))
    return folder


class Stubs:
    """Executables in a folder that is the whole PATH."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder = folder
        folder.mkdir()
        monkeypatch.setenv("PATH", str(folder))

    def add(self, name: str, output: str = "", code: int = 0, then: str = "") -> None:
        """A tool that prints `output`, runs the shell command `then` and exits with `code`."""
        calls, said = self.folder / f"{name}.calls", self.folder / f"{name}.says"
        said.write_text(output)
        script = self.folder / name
        script.write_text(
            f'#!/bin/sh\nfor word in "$@"; do printf "%s\\t" "$word"; done >> {shlex.quote(str(calls))}\n'
            f'printf "%s\\n" "$PWD" >> {shlex.quote(str(calls))}\n/bin/cat {shlex.quote(str(said))}\n{then}\nexit {code}\n'
        )
        script.chmod(0o755)

    def calls(self, name: str) -> list[list[str]]:
        """Arguments of each call, its working directory last."""
        return [line.split("\t") for line in (self.folder / f"{name}.calls").read_text().splitlines()]
