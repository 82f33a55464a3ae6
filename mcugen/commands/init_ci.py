"""mcugen init-ci."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from pathlib import Path

import click
import jinja2

from mcugen import budget
from mcugen.boards import load_board
from mcugen.budget import Limits
from mcugen.errors import McugenError
from mcugen.inputs import write_text
from mcugen.resources import data_dir

WHERE = {"github": Path(".github/workflows/mcugen.yml"), "gitlab": Path(".gitlab-ci.yml")}
REPORT = "mcugen-report"
SUFFIXES = (".h5", ".keras")
_PATH = re.compile(r"[A-Za-z0-9_./ +@-]+")
_INSTALL = re.compile(r"[A-Za-z0-9_./:+@=<>~,\[\]-]+")


@dataclass(frozen=True)
class Step:
    """One command of the workflow."""

    name: str
    command: str


def init_ci(
    kind: str, model: Path | None, output: Path, board: str, flash_limit: int | None, ram_limit: int | None, install: str,
    force: bool,
) -> int:  # fmt: skip
    if not output.is_dir():
        raise McugenError(str(output), "is no folder", "name the folder of your repository with -o")
    if not _INSTALL.fullmatch(install):
        raise McugenError("--install", f"{install!r} is no requirement of pip", "give one such as mcugen==0.1.0, without spaces")
    chosen = load_board(board)
    path = _inside(model or _find(output), output)
    asked = Limits(flash_limit, ram_limit)
    limits = (budget.flash_limit(chosen, asked), budget.ram_limit(chosen, asked))
    steps = ci_steps(path, board, *limits)
    target = output / WHERE[kind]
    if target.exists() and not force:
        raise McugenError(str(target), "exists already", "overwrite it with --force, or copy the steps you want by hand")
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(str(data_dir("templates"))), undefined=jinja2.StrictUndefined, trim_blocks=True,
        keep_trailing_newline=True,
    )  # fmt: skip
    text = environment.get_template(f"ci/{kind}.yml.j2").render(install=shlex.quote(install), steps=steps, report=REPORT)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise McugenError(str(target), f"cannot be written ({error.strerror})", "name another folder with -o") from error
    write_text(target, text)
    click.echo(f"wrote {target}: {path} within {limits[0]:,} bytes of flash and {limits[1]:,} of RAM; commit it")
    return 0


def ci_steps(model: str, board: str, flash_limit: int, ram_limit: int) -> list[Step]:
    """The commands, all with the compiler that comes by pip, so that figures are the same everywhere."""
    file, options = shlex.quote(model), f"--board {shlex.quote(board)} --toolchain zig"
    limits = f"--flash-limit {flash_limit} --ram-limit {ram_limit}"
    return [
        Step("Prepare the report", f"mkdir -p {REPORT}"),
        Step("Build within the budget", f"mcugen build {file} {options} {limits} -o firmware --json {REPORT}/budget.json"),
        Step(
            "Verify layer by layer on the simulated board",
            f"mcugen verify {file} {options} --on unicorn --no-qkeras --json {REPORT}/verify.json",
        ),
        Step(
            "Test the very image to be flashed",
            f"mcugen test firmware --port unicorn --json {REPORT}/test.json --junit {REPORT}/test.xml",
        ),
        Step("Profile", f"mcugen profile {file} {options} --json {REPORT}/profile.json"),
    ]


def _find(folder: Path) -> Path:
    """The only model file below `folder`."""
    found = [path for path in sorted(folder.rglob("*")) if path.suffix in SUFFIXES and not _hidden(path.relative_to(folder))]
    if len(found) == 1:
        return found[0]
    names = ", ".join(str(path.relative_to(folder)) for path in found[:5])
    fact = f"holds {len(found)} models ({names})" if found else "holds no model"
    raise McugenError(str(folder), fact, "name the model with --model")


def _hidden(path: Path) -> bool:
    return any(part.startswith(".") or part in ("build", "firmware") for part in path.parts)


def _inside(model: Path, folder: Path) -> str:
    """The model's path as the workflow, which starts in `folder`, names it."""
    if not model.exists():
        raise McugenError(str(model), "does not exist", "check the path; the model must be in the repository")
    try:
        path = model.resolve().relative_to(folder.resolve()).as_posix()
    except ValueError as error:
        raise McugenError(str(model), f"is not below {folder}", "copy it into the repository, or name that with -o") from error
    if not _PATH.fullmatch(path) or path.startswith("-"):
        raise McugenError(path, "has characters that a workflow may misread", "rename it with letters, digits, _ . - and /")
    return path
