"""The firmware's sources around a generated model: static C files, linker script, the model's memory. No tools."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from mcugen.codegen.emit import environment
from mcugen.errors import McugenError
from mcugen.ir import Board
from mcugen.resources import data_dir

COMMON = (
    *("startup.c", "main.c", "protocol.c", "queries.c", "link.c", "cobs.c", "crc32.c"),
    *("serial.c", "stack.c", "fault.c", "mpu.c", "libc.c"),
)
"""C files in firmware/ that every board needs; a board file's [firmware] sources follow."""


def static_files(board: Board) -> list[Path]:
    """The C files in firmware/ to compile for `board`."""
    return [data_dir("firmware") / name for name in (*COMMON, *board.firmware.get("sources", ()))]


def defines(board: Board) -> tuple[str, ...]:
    """Macros that the static C files expect, as NAME=VALUE."""
    uart = board.uart
    return (
        f'MCU_BOARD_NAME="{board.name}"',
        f"MCU_UART_IRQ={uart['irq']}",
        f"MCU_UART_IRQS={uart['irqs']}",
        f"MCU_UART_BAUD={uart['baud']}u",
        f"MCU_NULL_BYTES={board.limits['null_bytes']}u",
    )


def render_linker(board: Board, stack_bytes: int | None = None) -> str:
    """The linker script; `stack_bytes` (default: the board's limit) is rounded up to 8.

    Raises:
        McugenError: the stack does not fit into its region.
    """
    wanted = board.limits.get("stack_bytes", 8192) if stack_bytes is None else stack_bytes
    size = (wanted + 7) // 8 * 8
    region = board.home("stack")
    if not 256 <= size <= region.size:
        fact = f"a stack of {wanted} bytes does not fit into {region.name}"
        raise McugenError(f"board {board.name}", fact, f"ask for 256 to {region.size} bytes")
    home = {use: board.home(use).name for use in ("code", "hot_code", "hot_data", "data", "stack", "buffers")}
    template = environment().get_template("linker.ld.j2")
    return template.render(board=board.name, regions=board.regions, home=home, stack_bytes=size)


def render_app(board: Board, model: str, banks: Sequence[tuple[int, str]], steps: int) -> str:
    """C that owns a model's memory.

    Args:
        model: the C name of the generated `const mcu_model`.
        banks: (bytes, region name) of each bank, in the model's order.
        steps: the model's n_steps.

    Raises:
        McugenError: a bank's region is none of the board's arenas.
    """
    arenas = [region.name for region in board.regions if "arena" in region.use]
    for size, region in banks:
        if region not in arenas:
            raise McugenError(f"board {board.name}", f"{region} holds no arenas", f"place banks in {', '.join(arenas)}")
        if size <= 0:
            raise McugenError(f"bank in {region}", f"{size} bytes", "leave out empty banks")
    entries: list[Mapping[str, int | str]] = [{"bytes": -(-size // 8) * 8, "region": region} for size, region in banks]
    template = environment().get_template("app.c.j2")
    return template.render(board=board.name, model=model, banks=entries, steps=max(steps, 1))
