"""The command line: arguments to functions, results to text, errors to one message and an exit code."""

from __future__ import annotations

import functools
import json
import os
import sys
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import click

from mcugen import __version__
from mcugen.errors import McugenError

Command = Callable[..., Any]
_MODEL = click.argument("model", type=click.Path(path_type=Path))
_BOARD = click.option("--board", default="nucleo-h743zi", show_default=True, help="Board name or a .toml file.")
_TOOLCHAIN = click.option("--toolchain", type=click.Choice(["auto", "gcc", "zig"]), default="auto", show_default=True)
_GOAL = click.option("--for", "goal", type=click.Choice(["time", "flash", "ram"]), default="time", show_default=True,
                     help="What the kernels are chosen for.")  # fmt: skip
_RAM_LIMIT = click.option("--ram-limit", type=click.IntRange(0), help="Bytes of RAM allowed (default: all of the board's); "
                          "as many layers as that takes are fused by rows.")  # fmt: skip
_KEEP_INPUTS = click.option("--keep-inputs", is_flag=True, help="Overwrite no input, so that it can be used again.")
_JSON = click.option("--json", "json_path", type=click.Path(path_type=Path), help="Also write the result as JSON.")
_ON = click.option("--on", "engine", default="host", show_default=True,
                   help="reference, host, unicorn, qemu, renode, or a serial port (any pyserial URL).")  # fmt: skip


def _grid_options(command: Command) -> Command:
    """What stands in for quantizers that the model lacks, as the keyword `grid`: uint8 u is (u - offset) * scale."""

    @functools.wraps(command)
    def run(input_scale: float, input_offset: int, plain_weights: str | None, **options: Any) -> Any:
        from mcugen.commands.common import make_grid

        return command(**options, grid=make_grid(input_scale, input_offset, plain_weights))

    run = click.option("--plain-weights", metavar="QUANTIZER", help="Quantize weights that have no quantizer (plain Conv2D, "
                       "Dense) with this, such as quantized_bits(8,0,1,alpha='auto_po2').  [default: refuse them]")(run)
    run = click.option("--input-offset", type=click.IntRange(0, 255), default=128, show_default=True,
                           help="uint8 u stands for (u - OFFSET) * SCALE.")(run)  # fmt: skip
    return click.option("--input-scale", type=float, default=1 / 128, show_default=True)(run)


class _Group(click.Group):
    """Errors become one message and an exit code; tracebacks only with MCUGEN_DEBUG=1."""

    def main(self, *args: Any, **kwargs: Any) -> Any:
        kwargs["standalone_mode"] = False
        try:
            result = super().main(*args, **kwargs)
            sys.exit(result if isinstance(result, int) else 0)
        except McugenError as error:
            _fail(f"error: {error}", error.exit_code)
        except click.exceptions.Abort:
            _fail("interrupted", 130)
        except click.ClickException as error:
            error.show()
            sys.exit(2)
        except BrokenPipeError:
            sys.exit(2)
        except OSError as error:
            _fail(f"error: {error.filename or 'a file'}: {error.strerror or error}; check the path and the free space", 2)
        except MemoryError:
            _fail("error: out of memory; use fewer samples at a time or a smaller model", 2)
        except Exception as error:
            _fail(f"error: unexpected {type(error).__name__}: {error}; this is a bug: report it with MCUGEN_DEBUG=1 output", 2)


def _fail(message: str, code: int) -> None:
    if os.environ.get("MCUGEN_DEBUG"):
        traceback.print_exc()
    click.echo(message, err=True)
    sys.exit(code)


@click.group(cls=_Group)
@click.version_option(__version__, prog_name="mcugen")
def main() -> None:
    """From a trained mixed-precision QKeras model to verified firmware on a microcontroller."""


def _check_places(options: Mapping[str, Any]) -> None:
    """Refuses, before any work, files to write that have no folder, are one, or would overwrite what the command reads."""
    written = {"json_path", "picture", "junit"} | ({"output"} if "inputs" in options else set())  # else a folder
    given = [value if isinstance(value, tuple) else (value,) for key, value in options.items() if key not in written]
    read = [path for values in given for path in values if isinstance(path, Path) and path.is_file()]
    for path in (options[key] for key in sorted(written) if options.get(key) is not None):
        if not path.absolute().parent.is_dir():
            raise McugenError(str(path), "its folder does not exist", "make the folder first")
        if path.is_dir():
            raise McugenError(str(path), "is a folder", "name a file")
        if path.exists() and any(path.samefile(other) for other in read):
            raise McugenError(str(path), "is read by the same command", "name another file, this one would be overwritten")


def command(name: str) -> Callable[[Command], Command]:
    """Registers a function of mcugen.commands as a subcommand; imports happen when it runs."""

    def register(function: Command) -> Command:
        @functools.wraps(function)
        def run(**kwargs: Any) -> Any:
            _check_places(kwargs)
            return function(**kwargs)

        registered: Command = main.command(name)(run)
        return registered

    return register


@command("build")
@_MODEL
@_BOARD
@click.option("-o", "--output", type=click.Path(path_type=Path), help="Folder to make.  [default: build/MODEL]")
@_TOOLCHAIN
@_GOAL
@_grid_options
@_JSON
@click.option("--flash-limit", type=click.IntRange(0), help="Bytes of flash allowed (default: all of the board's).")
@_RAM_LIMIT
@_KEEP_INPUTS
@click.option("--explain", is_flag=True, help="Say which kernel each layer got and what the others would cost.")
def build_command(**options: Any) -> int:
    """Build firmware for MODEL (.h5, .keras or SavedModel): ELF, binary, C sources and report."""
    from mcugen.commands.build import build

    return build(**options)


@command("run")
@_MODEL
@click.argument("inputs", nargs=-1, required=True, type=click.Path(path_type=Path))
@_ON
@click.option("-o", "--output", type=click.Path(path_type=Path),
              help="Where to save the outputs (.npy, float32); several go to NAME_0.npy, NAME_1.npy, ...")  # fmt: skip
@_BOARD
@_TOOLCHAIN
@_GOAL
@_grid_options
def run_command(**options: Any) -> int:
    """Run MODEL on INPUTS.npy (N, ...) and save the dequantized outputs."""
    from mcugen.commands.run import run

    return run(**options)


@command("verify")
@_MODEL
@click.argument("inputs", nargs=-1, type=click.Path(path_type=Path))
@_ON
@_BOARD
@_TOOLCHAIN
@_GOAL
@_RAM_LIMIT
@_grid_options
@_JSON
@click.option("--samples", type=click.IntRange(1), default=8, show_default=True, help="Random samples without INPUTS.")
@click.option("--qkeras/--no-qkeras", default=None, help="Compare with QKeras too.  [default: where it is installed]")
@click.option("--picture", type=click.Path(path_type=Path), help="Draw the error by layer (PNG).")
def verify_command(**options: Any) -> int:
    """Compare an engine with the reference, and the reference with QKeras, layer by layer, integer by integer."""
    from mcugen.commands.verify import verify_model

    return verify_model(**options)


@command("profile")
@_MODEL
@_BOARD
@_TOOLCHAIN
@_GOAL
@_RAM_LIMIT
@_grid_options
@_JSON
@click.option("--on", "engine", help="Also read every layer's count from a board's serial port, or from unicorn or renode.")
@click.option("--compare", type=click.Path(path_type=Path), help="JSON of an earlier profile to compare with.")
@click.option("--picture", type=click.Path(path_type=Path), help="Draw the cost by layer (PNG).")
def profile_command(**options: Any) -> int:
    """Count instructions and model cycles of every layer in the simulated board."""
    from mcugen.commands.profile import profile

    return profile(**options)


@command("plan")
@_MODEL
@_BOARD
@_GOAL
@_grid_options
@_JSON
@_RAM_LIMIT
@_KEEP_INPUTS
@click.option("--picture", type=click.Path(path_type=Path), help="Draw memory over time (PNG).")
def plan_command(**options: Any) -> int:
    """Show where every tensor lives, when, and who causes the peak."""
    from mcugen.commands.plan import plan

    return plan(**options)


@command("check")
@_MODEL
@_grid_options
@_JSON
def check_command(**options: Any) -> int:
    """Say what would be refused, what cannot be proved exact and why, and how to mend it."""
    from mcugen.commands.check import check

    return check(**options)


@command("evaluate")
@click.argument("models", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--images", required=True, type=click.Path(path_type=Path), help="Folder (or tar) Person/Person_0001.jpg.")
@click.option("--pairs", type=click.Path(path_type=Path), help="Pairs in LFW's format; made from the folders if absent.")
@click.option("--folds", help="Folds to use, as 1,2 (default: all).")
@_ON
@_JSON
@click.option("--report", "report_dir", type=click.Path(path_type=Path), help="Folder for the HTML page and the cache.")
@click.option("--against", type=click.Choice(["float", "qkeras"]), help="Also evaluate the network in QKeras, or in float.")
@_BOARD
@_TOOLCHAIN
@_grid_options
def evaluate_command(**options: Any) -> int:
    """Score embeddings on verification pairs: accuracy, ROC, AUC, EER, agreement between formats."""
    from mcugen.commands.evaluate import evaluate_models

    return evaluate_models(**options)


@command("sensitivity")
@_MODEL
@click.option("--images", type=click.Path(path_type=Path), help="Folder (or tar) Person/Person_0001.jpg.")
@click.option("--pairs", type=click.Path(path_type=Path), help="Pairs in LFW's format: measure verification accuracy.")
@click.option("--folds", help="Folds to use, as 1,2 (default: all).")
@click.option("--inputs", type=click.Path(path_type=Path), help="Samples (.npy) instead of images.")
@click.option("--samples", type=click.IntRange(1), default=256, show_default=True, help="At most so many, without --pairs.")
@click.option("--bits", default="8,4,2,1", show_default=True, help="Bits to try.")
@click.option("--blocks", help="Regular expression whose first group names a layer's block.  [default: each layer]")
@click.option("--mixed", multiple=True, help="Also measure this mixture: bits of each block, as 8,8,4,2.")
@click.option("--most", type=click.IntRange(2), default=24, show_default=True, help="Mixtures to try at most.")
@click.option("--singles/--no-singles", default=True, help="Whether to quantize block by block, or only whole networks.")
@click.option("--weights-only", is_flag=True, help="Leave the activations of quantized blocks as they are.")
@click.option("--jobs", type=int, default=-1, show_default=True, help="Processes; -1 for one a core.")
@click.option("--scheduler", help="Address of a Dask scheduler whose workers do the work instead.")
@click.option("--report", "report_dir", type=click.Path(path_type=Path), help="Folder for the pictures and the JSON.")
@_grid_options
@_JSON
def sensitivity_command(**options: Any) -> int:
    """Quantize block by block, and by mixtures of bits: accuracy or fidelity against bits and footprint."""
    from mcugen.commands.sensitivity import sensitivity

    return sensitivity(**options)


@command("flash")
@click.argument("folder", required=False, type=click.Path(path_type=Path))
@click.option("--tool", help="Flash tool to use (default: the first one found).")
@click.option("--serial", "serial_number", help="Serial number of the probe, when several are connected.")
@click.option("--board", help="The .toml file FOLDER was built with, when the board does not come with mcugen.")
@click.option("--timeout", type=click.FloatRange(min=0, min_open=True), help="Seconds allowed (default: by the size).")
@click.option("--list", "show", is_flag=True, help="Show the probes found and the flash tools installed.")
def flash_command(**options: Any) -> int:
    """Write the firmware in FOLDER to a board over USB, and verify it."""
    from mcugen.commands.flash import flash

    return flash(**options)


@command("test")
@click.argument("folder", type=click.Path(path_type=Path))
@click.argument("inputs", nargs=-1, type=click.Path(path_type=Path))
@click.option("--port", required=True, multiple=True,
              help="Serial port (any pyserial URL), auto, or unicorn; several are tested at once.")  # fmt: skip
@click.option("--input-scale", type=float, help="uint8 u in INPUTS stands for (u - OFFSET) * SCALE.  [default: as built]")
@click.option("--input-offset", type=click.IntRange(0, 255), help="See --input-scale.  [default: as built]")
@_JSON
@click.option("--junit", type=click.Path(path_type=Path), help="Also write the result as JUnit XML.")
def test_command(**options: Any) -> int:
    """Ask the device behind PORT for outputs and compare them with the reference, integer by integer."""
    from mcugen.commands.test import test_device

    return test_device(**options)


@command("init-ci")
@click.argument("kind", type=click.Choice(["github", "gitlab"]))
@click.option("--model", type=click.Path(path_type=Path), help="The model in the repository (default: the only one there).")
@click.option("-o", "--output", type=click.Path(path_type=Path), default=".", show_default=True, help="The repository's folder.")
@_BOARD
@click.option("--flash-limit", type=click.IntRange(1), help="Bytes of flash allowed (default: all of the board's).")
@click.option("--ram-limit", type=click.IntRange(1), help="Bytes of RAM allowed (default: all of the board's).")
@click.option("--install", default="mcugen", show_default=True, help="What pip is to install: a version, a wheel, an address.")
@click.option("--force", is_flag=True, help="Overwrite the file that is there.")
def init_ci_command(**options: Any) -> int:
    """Write a workflow for GitHub or GitLab: build within a budget, verify and test on the simulated board, keep the report."""
    from mcugen.commands.init_ci import init_ci

    return init_ci(**options)


@command("boards")
def boards_command() -> int:
    """List the boards."""
    from mcugen.boards import list_boards, load_board

    for name in list_boards():
        click.echo(f"{name:16s} {load_board(name).title}")
    return 0


def save_json(path: Path | None, data: Any) -> None:
    """Writes JSON where the user asked for it."""
    if path is not None:
        from mcugen.inputs import write_text

        write_text(path, json.dumps(data, indent=1, allow_nan=False) + "\n")


if __name__ == "__main__":
    main()
