"""Compilers found and not found, their messages passed on, and builds that appear whole or not at all."""

from __future__ import annotations

import ctypes
import subprocess
from pathlib import Path

import pytest

from mcugen import toolchain
from mcugen.boards import load_board
from mcugen.elf import load_symbols
from mcugen.errors import McugenError
from mcugen.firmware import render_app
from mcugen.toolchain import compile_firmware, compile_native, find_toolchain, native_compiler, run

BOARD = load_board("nucleo-h743zi")


def test_auto_prefers_gcc_and_falls_back_to_zig(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(toolchain.shutil, "which", lambda name: f"/bin/{name}")
    assert find_toolchain() == ("gcc", ("/bin/arm-none-eabi-gcc",))
    assert native_compiler() == ("/bin/cc",)
    monkeypatch.setattr(toolchain.shutil, "which", lambda name: None)
    assert find_toolchain()[0] == "zig"
    assert "ziglang" in native_compiler()
    with pytest.raises(McugenError, match=r"arm-none-eabi-gcc is not on the PATH; install it or use --toolchain zig"):
        find_toolchain("gcc")
    monkeypatch.setattr(toolchain, "_has_zig", lambda: False)
    with pytest.raises(McugenError, match=r"no Arm compiler was found; run `pip install ziglang`"):
        find_toolchain()
    with pytest.raises(McugenError, match=r"neither cc, gcc, clang nor zig"):
        native_compiler()


def test_unknown_toolchain() -> None:
    with pytest.raises(McugenError, match=r"toolchain msvc: unknown name; use one of auto, gcc, zig"):
        find_toolchain("msvc")


@pytest.mark.parametrize("name", ["gcc", "zig"])
def test_errors_leave_nothing_behind(tmp_path: Path, name: str) -> None:
    with pytest.raises(McugenError, match=r"compiling broken.c: the tool refused"):
        compile_firmware({"broken.c": "int f(void) { return 1 }\n"}, BOARD, tmp_path, toolchain=name)
    with pytest.raises(McugenError, match=r"linking the firmware: the tool refused:\n(.*\n)*.*mcu_app_"):
        compile_firmware({"empty.c": "typedef int unused;\n"}, BOARD, tmp_path, toolchain=name)
    assert list(tmp_path.iterdir()) == []


def test_over_full_memory(tmp_path: Path) -> None:
    app = render_app(BOARD, "model", [(600_000, "axi")], 1)
    model = '#include "mcu_model.h"\nextern const mcu_model model;\nconst mcu_model model = {.name = "none"};\n'
    with pytest.raises(McugenError, match=r"linking the firmware.*\n.*axi.*overflow"):
        compile_firmware({"app.c": app, "model.c": model}, BOARD, tmp_path, toolchain="gcc")
    assert list(tmp_path.iterdir()) == []


def test_native_library_and_program(tmp_path: Path) -> None:
    source = tmp_path / "twice.c"
    source.write_text("int twice(int x);\nint twice(int x) { return 2 * x; }\n")
    library = ctypes.CDLL(str(compile_native([source], [], tmp_path / "out" / "twice.so", shared=True)))
    assert library.twice(21) == 42
    program = tmp_path / "main.c"
    program.write_text("int main(int n, char **v) { (void)v; int a[2] = {0, 0}; return a[n + N]; }\n")
    for define, code in (("N=0", 0), ("N=5", None)):
        built = compile_native([program], [], tmp_path / "program", sanitize=True, defines=[define])
        done = subprocess.run([str(built)], capture_output=True, timeout=60, check=False)
        assert done.returncode == code or (code is None and done.returncode != 0)


def test_tools_that_hang_or_are_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(McugenError, match=r"testing: /no/such/tool cannot be started"):
        run(["/no/such/tool"], "testing")
    monkeypatch.setattr(toolchain, "TIMEOUT_S", 0.05)
    with pytest.raises(McugenError, match=r"took over 0.05 s"):
        run(["sleep", "5"], "testing")


def test_not_an_elf_file(tmp_path: Path) -> None:
    path = tmp_path / "not.elf"
    path.write_bytes(b"nothing")
    with pytest.raises(McugenError, match=r"is no readable ELF file"):
        load_symbols(path)
