"""Board files: what is read, and that a wrong file is refused with its place and a remedy."""

from __future__ import annotations

from pathlib import Path

import pytest

from mcugen.boards import list_boards, load_board
from mcugen.errors import McugenError
from mcugen.firmware import render_app, render_linker, static_files
from mcugen.resources import data_dir

GOOD = (data_dir("boards") / "nucleo-h743zi.toml").read_text()


def test_known_boards() -> None:
    assert list_boards() == ["mps2-an500", "nucleo-h743zi"]
    board = load_board("nucleo-h743zi")
    assert board.clock_hz == 400_000_000
    assert {r.name: r.size >> 10 for r in board.regions} == {
        **{"flash": 2048, "itcm": 60, "dtcm": 128, "axi": 512},
        **{"sram123": 288, "sram4": 64},
    }
    assert set(board.flash_tools) == {"openocd", "st-flash", "pyocd", "cubeprogrammer", "mass-storage"}
    assert load_board(data_dir("boards") / "nucleo-h743zi.toml") == board


def test_one_plan_fits_both_boards() -> None:
    boards = [load_board(name) for name in list_boards()]
    assert len({tuple((r.name, r.size, r.use) for r in board.regions) for board in boards}) == 1
    for board in boards:
        assert all(path.is_file() for path in static_files(board))


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('name = "nucleo-h743zi"', "name = 3", "`name` is 3, not str; give `name` as str"),
        ("clock_hz = 400_000_000\n", "", "`clock_hz` is missing"),
        ("clock_hz = 400_000_000\n", "clock_hz = -1\n", "`clock_hz` is -1; give a positive `clock_hz`"),
        ("clock_hz = 400_000_000\n", "clock_hz = true\n", "`clock_hz` is True"),
        ('name = "axi"', 'name = "dtcm"', "two regions have one name"),
        ("start = 0x24000000", "start = 0x20010000", "regions dtcm and axi overlap"),
        ("start = 0x24000000", "start = 0x24000001", "region axi: start 0x24000001.* is no 32-byte aligned range"),
        ("start = 0x24000000", "start = 0xFFFF0000", "region axi: start 0xffff0000"),
        ('use = ["hot_code"]', 'use = ["hot"]', "region itcm: unknown use hot; use some of arena"),
        ('use = ["hot_code"]', 'use = ["arena"]', "use `hot_code` has 0 regions"),
        ('use = ["buffers"]', 'use = ["buffers", "stack"]', "use `stack` has 2 regions"),
        ('use = ["buffers"]', "use = [1]", "`use` holds something other than strings"),
        ("[cpu_flags]", "[cpu_flags", "is not TOML"),
        ("[uart]", "[[uart]]", "`uart` is .* not dict"),
    ],
)
def test_malformed_files(tmp_path: Path, old: str, new: str, message: str) -> None:
    assert old in GOOD
    path = tmp_path / "board.toml"
    path.write_text(GOOD.replace(old, new, 1))
    with pytest.raises(McugenError, match=message):
        load_board(path)


def test_absent_boards(tmp_path: Path) -> None:
    with pytest.raises(McugenError, match="no such board; use one of mps2-an500, nucleo-h743zi, or a path"):
        load_board("nucleo")
    with pytest.raises(McugenError, match="cannot be read"):
        load_board(tmp_path / "none.toml")
    with pytest.raises(McugenError, match="folder is missing"):
        data_dir("nothing")


def test_impossible_images() -> None:
    board = load_board("nucleo-h743zi")
    with pytest.raises(McugenError, match="a stack of 1000000 bytes does not fit into dtcm"):
        render_linker(board, 1_000_000)
    with pytest.raises(McugenError, match="sram4 holds no arenas; place banks in dtcm, axi"):
        render_app(board, "model", [(8, "sram4")], 1)
    with pytest.raises(McugenError, match="0 bytes; leave out empty banks"):
        render_app(board, "model", [(0, "axi")], 1)
