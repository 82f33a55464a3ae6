"""Compilers: the firmware with arm-none-eabi-gcc or zig, the same C for this computer with cc, gcc, clang or zig."""

from __future__ import annotations

import atexit
import importlib.util
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from mcugen import firmware
from mcugen.elf import binary_image, region_bytes
from mcugen.errors import McugenError
from mcugen.ir import Board
from mcugen.resources import data_dir

# Every float operation rounds on its own: contraction to fused multiply-adds would change results.
WARNINGS = ("-std=c11", "-Wall", "-Wextra", "-Werror", "-Wconversion", "-ffp-contract=off")
TOOLCHAINS = ("auto", "gcc", "zig")
TIMEOUT_S = 600
_ARM = {
    "gcc": ("-ffreestanding", "-fno-common"),
    "zig": (
        "-ffreestanding", "-fno-sanitize=undefined", "-fno-stack-protector", "-fno-unroll-loops",
        "-Wno-unused-command-line-argument",
    ),
}
_LINK = {"gcc": ("-nostdlib", "-nostartfiles"), "zig": ()}
_LIBRARIES = {"gcc": ("-lgcc",), "zig": ()}


@dataclass(frozen=True)
class Image:
    """A firmware as built: `elf`, `binary` (what lies in flash from its start), bytes used by region name."""

    elf: Path
    binary: Path
    toolchain: str
    board: Board
    used: Mapping[str, int]


def find_toolchain(name: str = "auto") -> tuple[str, tuple[str, ...]]:
    """("gcc" or "zig", command) of the Arm compiler to use; "auto" prefers gcc.

    Raises:
        McugenError: unknown name, or the compiler is not installed.
    """
    if name not in TOOLCHAINS:
        raise McugenError(f"toolchain {name}", "unknown name", f"use one of {', '.join(TOOLCHAINS)}")
    gcc = shutil.which("arm-none-eabi-gcc")
    if name in ("auto", "gcc") and gcc:
        return "gcc", (gcc,)
    if name in ("auto", "zig") and _has_zig():
        return "zig", _zig()
    if name == "gcc":
        raise McugenError("toolchain gcc", "arm-none-eabi-gcc is not on the PATH", "install it or use --toolchain zig")
    raise McugenError(f"toolchain {name}", "no Arm compiler was found", "run `pip install ziglang`")


def native_compiler() -> tuple[str, ...]:
    """The command of a C compiler for this computer: cc, gcc, clang, else zig.

    Raises:
        McugenError: there is none.
    """
    for name in ("cc", "gcc", "clang"):
        path = shutil.which(name)
        if path:
            return (path,)
    if _has_zig():
        return (*_zig(), "-fno-sanitize=undefined")
    raise McugenError("C compiler", "neither cc, gcc, clang nor zig was found", "run `pip install ziglang`")


def _environment() -> dict[str, str]:
    """What compilers are started with: zig needs a folder to cache in, also where there is no home to write to."""
    names = ("ZIG_GLOBAL_CACHE_DIR", "XDG_CACHE_HOME", "HOME", "LOCALAPPDATA")
    home = next((os.environ[name] for name in names if os.environ.get(name)), "")
    return {**os.environ} if os.access(home, os.W_OK) else {**os.environ, names[0]: _cache_folder()}


@cache
def _cache_folder() -> str:
    """A folder that lasts as long as this process."""
    folder = tempfile.mkdtemp(prefix="mcugen-zig-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


def _has_zig() -> bool:
    return importlib.util.find_spec("ziglang") is not None


def _zig() -> tuple[str, ...]:
    return (sys.executable, "-m", "ziglang", "cc")


def compile_firmware(
    sources: Mapping[str, str | bytes],
    board: Board,
    out_dir: Path,
    *,
    toolchain: str = "auto",
    opt: Sequence[str] = ("-O2",),
    defines: Sequence[str] = (),
    stack_bytes: int | None = None,
    name: str = "firmware",
) -> Image:
    """Build NAME.elf and NAME.bin in `out_dir` from generated `sources` and the firmware's static files.

    Args:
        sources: file name -> text; `.c` files are compiled, `.h` and `.inc` files only found by #include. One of them
            is what `firmware.render_app` renders. They come before the static headers.
        opt: optimisation flags of the generated sources (the static ones are small); `defines`: further macros as NAME=VALUE.

    The outputs appear whole or not at all. Raises:
        McugenError: no compiler, a compiler message, or the image does not fit the board.
    """
    kind, command = find_toolchain(toolchain)
    if kind not in board.cpu_flags:
        raise McugenError(f"board {board.name}", f"has no flags for {kind}", f"add `{kind}` to its [cpu_flags]")
    cpu = board.cpu_flags[kind]
    macros = [f"-D{define}" for define in (*firmware.defines(board), *defines)]
    out_dir.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out_dir, prefix=".build-") as temporary:
        work = Path(temporary)
        generated = _write(sources, work)
        script = work / "linker.ld"
        script.write_text(firmware.render_linker(board, stack_bytes), encoding="utf-8")
        sections = ("-ffunction-sections", "-fdata-sections")
        flags = [*cpu, *WARNINGS, *_ARM[kind], *sections, *macros, f"-I{work}", f"-I{data_dir('firmware')}"]
        objects = _compile(command, [*flags, *opt], generated, work)
        objects += _compile(command, [*flags, "-Os"], firmware.static_files(board), work, len(objects))
        elf = work / f"{name}.elf"
        link = [*cpu, *_LINK[kind], "-O2", "-Wl,--gc-sections", "-Wl,--build-id=none", f"-Wl,-T,{script}"]
        run([*command, *link, *map(str, objects), *_LIBRARIES[kind], "-o", str(elf)], "linking the firmware")
        binary = elf.with_suffix(".bin")
        binary.write_bytes(binary_image(elf, board.home("code")))
        used = region_bytes(elf, board)
        for made in (elf, binary):
            os.replace(made, out_dir / made.name)
    return Image(out_dir / f"{name}.elf", out_dir / f"{name}.bin", kind, board, used)


def compile_native(
    files: Sequence[Path],
    include: Sequence[Path],
    out: Path,
    *,
    sanitize: bool = False,
    shared: bool = False,
    opt: Sequence[str] = ("-O2",),
    defines: Sequence[str] = (),
) -> Path:
    """Build C `files` for this computer into an executable or, if `shared`, a shared library; returns `out`.

    Args:
        defines: macros as NAME=VALUE.
        sanitize: with AddressSanitizer and UndefinedBehaviorSanitizer, whose findings end the program.

    Raises:
        McugenError: no compiler or a compiler message.
    """
    command = native_compiler()
    out.parent.mkdir(parents=True, exist_ok=True)
    checks = ["-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"] if sanitize else []
    kind = ["-fPIC"] if shared else []
    paths = [f"-I{path}" for path in (*include, data_dir("firmware"))]
    flags = [*WARNINGS, *opt, *checks, *kind, *(f"-D{define}" for define in defines), *paths]
    with tempfile.TemporaryDirectory(dir=out.parent, prefix=".build-") as temporary:
        work = Path(temporary)
        objects = _compile(command, flags, files, work)
        made = work / out.name
        library = () if os.name == "nt" else ("-lm",)
        shape = ("-shared",) if shared else ()
        run([*command, *shape, *checks, *map(str, objects), "-o", str(made), *library], f"linking {out.name}")
        os.replace(made, out)
    return out


def _write(sources: Mapping[str, str | bytes], work: Path) -> list[Path]:
    """Write all sources below `work`; the C files among them."""
    for name, text in sources.items():
        path = work / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text.encode() if isinstance(text, str) else text)
    return [work / name for name in sources if name.endswith(".c")]


def _compile(command: Sequence[str], flags: Iterable[str], files: Sequence[Path], work: Path, first: int = 0) -> list[Path]:
    flags = list(flags)
    objects = [work / f"{number:03d}-{path.stem}.o" for number, path in enumerate(files, first)]

    def one(pair: tuple[Path, Path]) -> None:
        run([*command, *flags, "-c", str(pair[0]), "-o", str(pair[1])], f"compiling {pair[0].name}")

    with ThreadPoolExecutor(max_workers=2) as pool:
        list(pool.map(one, zip(files, objects, strict=True)))
    return objects


def run(command: Sequence[str], what: str) -> str:
    """Run a tool; its standard output.

    Raises:
        McugenError: it could not be started, took over ten minutes, or failed; the fact ends with its first errors.
    """
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S, check=False, errors="replace",
                              env=_environment())  # fmt: skip
    except subprocess.TimeoutExpired as error:
        raise McugenError(what, f"{command[0]} took over {TIMEOUT_S} s", "look for what blocks it") from error
    except OSError as error:
        fact = f"{command[0]} cannot be started ({error.strerror})"
        raise McugenError(what, fact, "check the installation") from error
    if done.returncode:
        if "No space left on device" in done.stderr + done.stdout:
            raise McugenError(what, "the disk is full", "free some space, or set TMPDIR to a folder with some")
        lines = (done.stderr or done.stdout).strip().splitlines()
        errors = [line for line in lines if re.search("error|overflow|undefined|multiple def", line.lower())] or lines
        detail = "\n  ".join(errors[:8]) or f"exit code {done.returncode}"
        raise McugenError(what, f"the tool refused:\n  {detail}\n", "fix the named source, or report this as a bug")
    return done.stdout
