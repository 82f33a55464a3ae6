"""mcugen flash: the folder, the choice of tool and probe, command lines, success, time limit; the real tools without a probe."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from flash_stubs import (
    FLASH,
    GOOD,
    IMAGE,
    NO_SUCH_PROBE,
    OPENOCD_GOOD,
    OTHER,
    SERIAL,
    ST_FLASH_FOUND,
    Stubs,
    elf,
    make_folder,
)

from mcugen import flashing
from mcugen.boards import load_board
from mcugen.cli import main
from mcugen.errors import CheckFailed, McugenError
from mcugen.flashing import Probe, describe_tools, flash_folder, probes, volume
from mcugen.flashing.tools import board_tools
from tests.tools import need

SELECT = "if {[catch {adapter serial %s}]} {hla_serial %s}"
COMPARE = ["-M", "halt", "-c", "compare 0x8000000 firmware.bin", "-c", "reset"]
COMMANDS = {
    "openocd": [["-f", "board/st_nucleo_h743zi.cfg", "@", "-c", "program firmware.elf verify reset exit"]],
    "st-flash": [["@", "--reset", "write", "firmware.bin", "0x8000000"]],
    "pyocd": [
        ["flash", "-W", "@", "-t", "stm32h743xx", "-a", "0x8000000", "firmware.bin"],
        ["commander", "-W", "@", "-t", "stm32h743xx", *COMPARE],
    ],
    "STM32_Programmer_CLI": [["-c", "port=SWD", "mode=UR", "@", "-w", "firmware.elf", "-v", "-rst"]],
}
CHOSEN = {
    "openocd": ["-c", SELECT % (SERIAL, SERIAL)],
    "st-flash": ["--serial", SERIAL],
    "pyocd": ["-u", SERIAL],
    "STM32_Programmer_CLI": [f"sn={SERIAL}"],
}


@pytest.fixture
def no_probes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(flashing, "list_probes", lambda: [])
    monkeypatch.setattr(volume, "PARENTS", ())


@pytest.fixture
def folder(tmp_path: Path, no_probes: None) -> Path:
    return make_folder(tmp_path / "a folder {x}")


@pytest.fixture
def stubs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Stubs:
    return Stubs(tmp_path / "bin", monkeypatch)


@pytest.mark.parametrize("serial", [None, SERIAL])
@pytest.mark.parametrize("program", list(GOOD))
def test_command_line(program: str, serial: str | None, folder: Path, stubs: Stubs) -> None:
    stubs.add(program, GOOD[program])
    told: list[str] = []
    done = flash_folder(folder, None, serial, tell=told.append)
    expected = []
    for command in COMMANDS[program]:
        at = command.index("@")
        expected.append([*command[:at], *(CHOSEN[program] if serial else []), *command[at + 1 :], str(folder)])
    assert stubs.calls(program) == expected
    assert "wrote 2,048 bytes at 0x8000000 and compared them" in done and "writing 2,048 bytes" in told[0]
    assert "[exit code 0]" in (folder / "flash.log").read_text()


def test_tools_are_tried_in_the_order_of_the_board_file(folder: Path, stubs: Stubs) -> None:
    assert [tool.name for tool in board_tools(load_board("nucleo-h743zi"))] == [
        "openocd", "st-flash", "pyocd", "cubeprogrammer", "mass-storage",
    ]  # fmt: skip
    with pytest.raises(McugenError, match="no flash tool is on the PATH") as caught:
        flash_folder(folder)
    assert caught.value.exit_code == 2
    assert "apt install openocd" in caught.value.remedy and "pip install pyocd" in caught.value.remedy
    for program in ("STM32_Programmer_CLI", "pyocd", "st-flash", "openocd"):
        stubs.add(program, GOOD[program])
        assert flash_folder(folder).startswith({"STM32_Programmer_CLI": "cubeprogrammer"}.get(program, program) + ": ")
    assert flash_folder(folder, "STM32_Programmer_CLI").startswith("cubeprogrammer: ")
    assert flash_folder(folder, "pyocd").startswith("pyocd: ")


def test_unknown_or_missing_tools_name_what_to_do(folder: Path, stubs: Stubs) -> None:
    with pytest.raises(McugenError, match=r"--tool jlink: .*openocd, st-flash, pyocd, cubeprogrammer, mass-storage") as caught:
        flash_folder(folder, "jlink")
    assert caught.value.exit_code == 2
    with pytest.raises(McugenError, match="st-flash is not on the PATH; apt install stlink-tools") as caught:
        flash_folder(folder, "st-flash")
    assert caught.value.exit_code == 2
    with pytest.raises(McugenError, match="cannot choose by serial number"):
        flash_folder(folder, "mass-storage", SERIAL)
    with pytest.raises(McugenError, match="is no serial number"):
        flash_folder(folder, None, "a}; shutdown")
    (stubs.folder / "openocd").write_text("not a program")
    (stubs.folder / "openocd").chmod(0o755)
    with pytest.raises(McugenError, match=r"openocd: cannot be started .Exec format error"):
        flash_folder(folder, "openocd")


def test_several_probes_need_a_choice(folder: Path, stubs: Stubs, monkeypatch: pytest.MonkeyPatch) -> None:
    stubs.add("openocd", OPENOCD_GOOD)
    monkeypatch.setattr(flashing, "list_probes", lambda: [Probe(SERIAL, "/dev/ttyACM0"), Probe(OTHER)])
    with pytest.raises(McugenError, match=f"2 probes are connected: {SERIAL} at /dev/ttyACM0, {OTHER}; choose one") as caught:
        flash_folder(folder)
    assert caught.value.exit_code == 2 and not (stubs.folder / "openocd.calls").exists()
    assert "wrote" in flash_folder(folder, None, OTHER)
    assert f"  {SERIAL} at /dev/ttyACM0\n  {OTHER}\n" in describe_tools()


def test_another_chip_is_no_success(folder: Path, stubs: Stubs) -> None:
    stubs.add("st-flash", GOOD["st-flash"].replace("H74x/H75x", "F42x/F43x"))
    with pytest.raises(CheckFailed, match=r"does not say that it met the board's chip"):
        flash_folder(folder)


@pytest.mark.parametrize("program", list(GOOD))
def test_exit_code_0_without_a_comparison_is_no_success(program: str, folder: Path, stubs: Stubs) -> None:
    stubs.add(program, "All good!\n\n")
    with pytest.raises(CheckFailed, match=r"ended without saying that it compared the flash .it says `All good!`.*flash.log"):
        flash_folder(folder)


def alive(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().split()[2] != "Z"
    except OSError:
        return False


def test_a_tool_that_hangs_is_stopped_with_its_children(folder: Path, stubs: Stubs) -> None:
    stubs.add("openocd", "Info : clock speed 1800 kHz\n", then="trap '' TERM; /bin/sleep 30 & echo $! > child; /bin/sleep 30")
    started = time.monotonic()
    with pytest.raises(CheckFailed, match="openocd: was stopped after 1 s; the last it said is `Info : clock speed 1800 kHz`"):
        flash_folder(folder, timeout=1)
    assert time.monotonic() - started < 10
    child = int((folder / "child").read_text())
    while alive(child) and time.monotonic() - started < 10:
        time.sleep(0.05)
    assert not alive(child)


def test_damaged_folders_are_refused_before_a_tool_starts(tmp_path: Path, stubs: Stubs, no_probes: None) -> None:
    stubs.add("openocd", OPENOCD_GOOD)

    def refused(folder: Path, match: str) -> None:
        with pytest.raises(McugenError, match=match) as caught:
            flash_folder(folder)
        assert caught.value.exit_code == 2

    refused(tmp_path / "nothing", "holds no mcugen.json")
    folder = make_folder(tmp_path / "f")
    (folder / "firmware.bin").write_bytes(IMAGE[:-1])
    refused(folder, "firmware.bin: is not the file that was built")
    (folder / "firmware.bin").write_bytes(b"")
    refused(folder, "firmware.bin: is empty")
    (folder / "firmware.bin").unlink()
    refused(folder, "firmware.bin: cannot be read")
    make_folder(folder)
    (folder / "firmware.elf").write_bytes(elf(IMAGE)[:-1])
    refused(folder, "hold different programs|no readable ELF")
    (folder / "firmware.elf").write_bytes(elf(IMAGE, FLASH + 32))
    refused(folder, "hold different programs")
    (folder / "firmware.elf").write_bytes(b"\x7fELF")
    refused(folder, "no readable ELF")
    (folder / "firmware.elf").write_bytes(b"MZ")
    refused(folder, "firmware.elf: is no ELF file")
    refused(make_folder(folder, b"\1" * (0x200000 + 1)), "is 2,097,153 bytes long, the flash 2,097,152")
    refused(make_folder(folder, board="mps2-an500"), "hold different programs|outside|exists only in a simulator")
    refused(make_folder(folder, board="atlantis"), "no such board")
    manifest = json.loads((make_folder(folder) / "mcugen.json").read_text())
    del manifest["binary_sha256"]  # folders of earlier versions
    (folder / "mcugen.json").write_text(json.dumps(manifest))
    assert "wrote" in flash_folder(folder)
    assert len(stubs.calls("openocd")) == 1


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("verified = '('", "no regular expression"),
        ("speed = 1", "not a known key"),
        ("command = [1]", "list of strings"),
        ("", "lacks"),
    ],
)
def test_board_files(line: str, problem: str, tmp_path: Path, stubs: Stubs, no_probes: None) -> None:
    text = (Path(__file__).parents[2] / "boards" / "nucleo-h743zi.toml").read_text().replace('"nucleo-h743zi"', '"mine"')
    stubs.add("st-flash", GOOD["st-flash"])
    folder, board = make_folder(tmp_path / "f", board="mine"), tmp_path / "mine.toml"
    board.write_text(text)
    assert "st-flash: wrote" in flash_folder(folder, "st-flash", board=board)
    board.write_text(f"{text}\n[flash_tools.mine]\nneeds = 'x'\n{line}\n")
    with pytest.raises(McugenError, match=problem):
        flash_folder(folder, "st-flash", board=board)
    with pytest.raises(McugenError, match="was built for mine, not for nucleo-h743zi"):
        flash_folder(folder, board="nucleo-h743zi")


def test_probes_are_found_by_their_usb_numbers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Port:
        def __init__(self, device: str, vid: int | None, pid: int | None, serial_number: str | None) -> None:
            self.device, self.vid, self.pid, self.serial_number = device, vid, pid, serial_number

    probe, gadget = Port("/dev/ttyACM0", 0x0483, 0x374E, SERIAL), Port("/dev/ttyACM1", 0x0483, 0x5740, "x")
    monkeypatch.setattr(probes.list_ports, "comports", lambda: [Port("/dev/ttyS0", None, None, None), probe, gadget])
    for name, product, serial in [("1-1", "374e", SERIAL), ("1-2", "3748", OTHER), ("1-3", "df11", "dfu"), ("1-4", "374b", "")]:
        (tmp_path / name).mkdir()
        for key, value in {"idVendor": "0483", "idProduct": product, "serial": serial}.items():
            (tmp_path / name / key).write_text(value + "\n")
    monkeypatch.setattr(probes, "SYSFS", tmp_path)
    assert probes.list_probes() == [Probe(OTHER), Probe(SERIAL, "/dev/ttyACM0")]


def test_port_auto(monkeypatch: pytest.MonkeyPatch) -> None:
    found = [Probe(OTHER)]
    monkeypatch.setattr(probes, "list_probes", lambda: found)
    with pytest.raises(McugenError, match="no ST-LINK with a serial port is connected"):
        probes.find_port()
    found.append(Probe(SERIAL, "/dev/ttyACM0"))
    assert probes.find_port() == "/dev/ttyACM0"
    found.append(Probe("x", "/dev/ttyACM1"))
    with pytest.raises(McugenError, match=r"2 boards are connected: .*ttyACM0, x at /dev/ttyACM1; choose with --port"):
        probes.find_port()


def test_exit_codes_of_the_command(folder: Path, stubs: Stubs, capsys: pytest.CaptureFixture[str]) -> None:
    def run(*words: str) -> tuple[int, str]:
        with pytest.raises(SystemExit) as caught:
            main(["flash", *words])
        captured = capsys.readouterr()
        return int(caught.value.code or 0), captured.out + captured.err

    assert run()[0] == 2 and run(str(folder))[0] == 2 and run("--timeout", "0", str(folder))[0] == 2
    code, text = run("--list")
    assert code == 0 and "probes: none found" in text and "not installed: apt install stlink-tools" in text
    stubs.add("st-flash", GOOD["st-flash"])
    code, text = run(str(folder))
    assert code == 0 and "st-flash: wrote 2,048 bytes" in text
    stubs.add("st-flash", ST_FLASH_FOUND + "ERROR common.c: Verification of flash failed at offset: 6144\n", code=255)
    code, text = run(str(folder))
    assert code == 1 and text.count("error: ") == 1 and "read back something else" in text


@pytest.mark.parametrize("tool", ["openocd", "st-flash", "pyocd"])
def test_the_real_tool_without_a_probe(tool: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", os.pathsep.join([os.environ["PATH"], str(Path(sys.executable).parent)]))  # pyocd's is pip's
    need(tool)  # asked for a probe that no one has, so that no board is written to
    with pytest.raises(CheckFailed, match=f"{tool}: found no probe with the serial number {NO_SUCH_PROBE}"):
        flash_folder(folder, tool, NO_SUCH_PROBE, timeout=60)


@pytest.mark.parametrize("serial", [None, SERIAL])
def test_the_real_openocd_with_a_chip_of_its_own(
    serial: str | None, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same command line programs openocd's pretended flash; its pretended core cannot read back, so comparing fails."""
    need("openocd")
    (tmp_path / "board").mkdir()
    config = tmp_path / "board" / "st_nucleo_h743zi.cfg"
    config.write_text(
        "adapter driver dummy\nadapter speed 1000\njtag newtap chip cpu -irlen 4\n"
        "target create chip.cpu testee -chain-position chip.cpu\nflash bank chip.flash faux 0x08000000 0x200000 4 4 chip.cpu\n"
    )
    monkeypatch.setenv("OPENOCD_SCRIPTS", str(tmp_path))
    with pytest.raises(CheckFailed, match=r"read back something else .it says `\*\* Verify Failed \*\*`"):
        flash_folder(folder, "openocd", serial, timeout=60)
    assert "** Programming Finished **" in (folder / "flash.log").read_text()
    equal = '{ proc verify_image {file} { echo "Device: STM32H74x/75x" } }'
    config.write_text(f"{config.read_text()}chip.cpu configure -event reset-start {equal}\n")
    assert "wrote 2,048 bytes" in flash_folder(folder, "openocd", serial, timeout=60)


def test_the_program_itself(folder: Path, stubs: Stubs) -> None:
    stubs.add("openocd", OPENOCD_GOOD)
    done = subprocess.run(
        [sys.executable, "-m", "mcugen.cli", "flash", str(folder), "--serial", SERIAL], capture_output=True, text=True,
        env=dict(os.environ), check=False, timeout=60,
    )  # fmt: skip
    assert (done.returncode, done.stdout[:30]) == (0, "openocd: wrote 2,048 bytes at ")
