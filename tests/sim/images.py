"""The tiny model as firmware, built once a session; tools that are missing fail a test, they never skip it."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from mcugen.boards import load_board
from mcugen.firmware import render_app
from mcugen.toolchain import Image, compile_firmware
from tests.tools import need

HERE = Path(__file__).parent
DIGEST = bytes(range(1, 17))
BANKS = ((8, "dtcm"), (8, "axi"))


class Images:
    """Builds of the tiny model below `folder`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @cache  # noqa: B019
    def build(self, board: str, toolchain: str) -> Image:
        if toolchain == "gcc":
            need("arm-none-eabi-gcc")
        target = load_board(board)
        sources = {
            "tiny_model.c": (HERE / "tiny_model.c").read_text(),
            "app.c": render_app(target, "tiny", BANKS, steps=2),
        }
        return compile_firmware(sources, target, self.folder / f"{board}-{toolchain}", toolchain=toolchain)
