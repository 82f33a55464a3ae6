"""What tests need beside Python's packages; a missing tool fails a test, it never skips one."""

from __future__ import annotations

import importlib.util
import shutil

import pytest

PACKAGES = {
    "arm-none-eabi-gcc": "gcc-arm-none-eabi libnewlib-arm-none-eabi",
    "clang": "clang libclang-rt-dev",
    "openocd": "openocd",
    "qemu-system-arm": "qemu-system-arm",
    "setpriv": "util-linux",
    "st-flash": "stlink-tools",
}


def need(program: str) -> str:
    """The path of `program`; fails without it, naming Debian's packages."""
    path = shutil.which(program)
    if path is None:
        pytest.fail(f"{program} is not on the PATH: apt-get install {PACKAGES.get(program, program)}")
    return str(path)


def need_qkeras() -> None:
    if importlib.util.find_spec("qkeras") is None:
        pytest.fail("QKeras is not installed: pip install -e '.[qkeras]'")
