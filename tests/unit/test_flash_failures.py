"""What flash tools say when they fail becomes one message: which tool, what is wrong, what to do."""

from __future__ import annotations

from pathlib import Path

import pytest
from flash_stubs import CUBE_FOUND, OPENOCD_FOUND, OPENOCD_HEAD, OPENOCD_TAIL, OTHER, SERIAL, ST_FLASH_FOUND, Stubs, make_folder

from mcugen import flashing
from mcugen.errors import CheckFailed, McugenError
from mcugen.flashing import Probe, flash_folder, volume
from mcugen.flashing.failures import FAILURES, UDEV

HEAD, FOUND, NONE = OPENOCD_HEAD, OPENOCD_FOUND, "Error: open failed\n" + OPENOCD_TAIL
DEVICE = OPENOCD_FOUND + "** Programming Started **\nInfo : Device: STM32H74x/75x\n"
FAILED = "** Programming Failed **\nshutdown command invoked\n"
ST = "st-flash 1.7.0\n"
CUBE = "STM32_Programmer_CLI"
# tool, name of the failure, exit code, output; the line to be quoted is marked with > (taken away before use).
CASES = [
    ("openocd", "probe", 1, HEAD + ">" + NONE),
    ("openocd", "permission", 1, HEAD + ">Error: libusb_open() failed with LIBUSB_ERROR_ACCESS\n" + NONE),
    ("openocd", "busy", 1, HEAD + ">Error: libusb_claim_interface() failed with LIBUSB_ERROR_BUSY\n" + NONE),
    ("openocd", "driver", 1, HEAD + ">Error: libusb_open() failed with LIBUSB_ERROR_NOT_SUPPORTED\n" + NONE),
    ("openocd", "silent", 1, FOUND + ">Error: init mode failed (unable to connect to the target)\n" + OPENOCD_TAIL),
    ("openocd", "power", 1, HEAD + "Info : Target voltage: 0.018\n>Error: target voltage may be too low for reliable debugging\n"
     "Error: init mode failed (unable to connect to the target)\n" + OPENOCD_TAIL),
    ("openocd", "chip", 1, FOUND + "Warn : Cannot identify target as a STM32H7xx family.\n>Error: auto_probe failed\n" + FAILED),
    ("openocd", "locked", 1, DEVICE + ">Error: erase time-out or operation error sector 0\n" + FAILED),
    ("openocd", "locked", 1, DEVICE + ">Error: flash memory write protected\n" + FAILED),
    ("openocd", "write", 1, DEVICE + ">" + FAILED),
    ("openocd", "mismatch", 1, HEAD + "Error: libusb_open() failed with LIBUSB_ERROR_ACCESS\nInfo : Device: STM32H74x/75x\n"
     "Error: checksum mismatch - attempting binary compare\n>** Verify Failed **\nshutdown command invoked\n"),
    ("openocd", "tool", 1, ">embedded:startup.tcl:28: Error: Can't find board/st_nucleo_h743zi.cfg\nin procedure 'script' \n"
     "at file \"embedded:startup.tcl\", line 28\n"),
    ("st-flash", "probe", 255, ST + ">2026-11-22T01:56:40 WARN usb.c: Couldn't find any ST-Link devices\n"),
    ("st-flash", "busy", 255, ST + ">WARN usb.c: Stlink usb device found, but unable to claim (probably already in use?)\n"),
    ("st-flash", "silent", 255, ST + "WARN common.c: unknown chip id! 0x5fa0004\n>Failed to connect to target\n"),
    ("st-flash", "locked", 255, ST_FLASH_FOUND + ">ERROR common.c: Flash memory is write protected\n"),
    ("st-flash", "mismatch", 255, ST_FLASH_FOUND + ">ERROR common.c: Verification of flash failed at offset: 0\n"
     "stlink_fwrite_flash() == -1\n"),
    ("st-flash", "write", 255, ST_FLASH_FOUND + ">stlink_fwrite_flash() == -1\n"),
    ("st-flash", "usb", 255, ST + ">[!] send_recv send request failed: LIBUSB_ERROR_TIMEOUT\n"),
    ("st-flash", "tool", 255, ">invalid command line\ncommand line:   ./st-flash [--debug]\n"),
    ("pyocd", "probe", 1, "\x1b[31mNo connected debug probes\x1b[0m\n>0000475 E No target device available [load_cmd]\n"),
    ("pyocd", "several", 1, "  0   STLINK-V3   004000\n  1   STM32 STLink   066B\n"
     ">Enter the number of the debug probe or 'q' to quit> \n0000500 C Error: EOF when reading a line [__main__]\n"),
    ("pyocd", "permission", 1, ">0000300 W [Errno 13] Access denied (insufficient permissions) while trying to get "
     "the STLink USB device configuration (VID=0483 PID=374e).\nNo connected debug probes\n"),
    ("pyocd", "busy", 1, ">0000600 C USB Error: [Errno 16] Resource busy [__main__]\n"),
    ("pyocd", "chip", 1, ">0000700 C Error: IDC.DEV_ID 0x419 did not match expected. 0x450 [__main__]\n"),
    ("pyocd", "locked", 1, ">0000545 C Memory transfer fault (read) @ 0x08000000-0x0800003f [__main__]\n"),
    ("pyocd", "write", 1, ">0000900 C flash erase sector failure (address 0x08000000; result code 0x1) [__main__]\n"),
    ("pyocd", "mismatch", 0, ">Mismatched byte at 0x08000000 (offset 0x0): 0xff (memory) != 0x00 (file)\n"),
    ("pyocd", "tool", 1, ">0000700 C Target type stm32h743xx not recognized. Use 'pyocd list --targets' [__main__]\n"),
    (CUBE, "probe", 1, ">Error: No debug probe detected.\n"),
    (CUBE, "silent", 1, "Voltage     : 3.23V\n>Error: No STM32 target found! If your product embeds Debug Authentication, ...\n"),
    (CUBE, "power", 1, ">Voltage     : 0.94V\nError: No STM32 target found!\n"),
    (CUBE, "usb", 1, ">Error: ST-LINK error (DEV_USB_COMM_ERR)\n"),
    (CUBE, "locked", 1, CUBE_FOUND + ">Warning: Device is under Read Out Protection or Target is held under reset\n"
     "Error: failed to download the File\n"),
    (CUBE, "locked", 1, CUBE_FOUND + ">Error: failed to erase memory\n"),
    (CUBE, "write", 1, CUBE_FOUND + "Error: failed to download Segment[0]\n>Error: failed to download the File\n"),
    (CUBE, "mismatch", 1, CUBE_FOUND + ">Error: Data mismatch found at address 0x08000000 (byte = 0x00 instead of 0x20)\n"),
]  # fmt: skip


@pytest.fixture
def stubs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Stubs:
    monkeypatch.setattr(flashing, "list_probes", lambda: [])
    monkeypatch.setattr(volume, "PARENTS", ())
    monkeypatch.setattr("sys.platform", "linux")
    return Stubs(tmp_path / "bin", monkeypatch)


def flash_error(tmp_path: Path, serial: str | None = None) -> McugenError:
    with pytest.raises(McugenError) as caught:
        flash_folder(make_folder(tmp_path / "f"), None, serial)
    return caught.value


@pytest.mark.parametrize(("tool", "name", "code", "output"), CASES, ids=[f"{tool}-{name}" for tool, name, *_ in CASES])
def test_known_failures(tool: str, name: str, code: int, output: str, tmp_path: Path, stubs: Stubs) -> None:
    failure = next(failure for failure in FAILURES if failure.name == name)
    quoted = next(line[1:] for line in output.splitlines() if line.startswith(">"))
    stubs.add(tool, output.replace(f">{quoted}", quoted), code)
    error = flash_error(tmp_path)
    assert error.node == ("cubeprogrammer" if tool == CUBE else tool)
    assert error.fact == f"{failure.fact} (it says `{' '.join(quoted.split())}`)"
    assert error.remedy.startswith(failure.remedy) and error.remedy.endswith("flash.log")
    assert error.exit_code == (2 if failure.usage else 1)
    assert quoted.strip() in (tmp_path / "f" / "flash.log").read_text()


def test_every_failure_is_covered() -> None:
    assert {name for _, name, *_ in CASES} == {failure.name for failure in FAILURES}


def test_unknown_failures_quote_the_last_line(tmp_path: Path, stubs: Stubs) -> None:
    stubs.add("openocd", "Info : fine\nError: the moon is full\n\nshutdown command invoked\n", 3)
    assert flash_error(tmp_path).fact == "ended with exit code 3 (it says `Error: the moon is full`)"
    stubs.add("openocd", "", 4)
    error = flash_error(tmp_path)
    assert error.fact == "ended with exit code 4" and isinstance(error, CheckFailed)


def test_a_crash(tmp_path: Path, stubs: Stubs) -> None:
    stubs.add("openocd", "Error: open failed\n", then="kill -SEGV $$")
    error = flash_error(tmp_path)
    assert error.fact == "crashed with SIGSEGV (it says `Error: open failed`)" and error.exit_code == 1


def test_no_probe_but_one_is_on_the_usb(tmp_path: Path, stubs: Stubs, monkeypatch: pytest.MonkeyPatch) -> None:
    """st-flash says that it finds none when it may not open it."""
    stubs.add("st-flash", ST + "WARN usb.c: Couldn't find any ST-Link devices\n", 255)
    monkeypatch.setattr(flashing, "list_probes", lambda: [Probe(SERIAL, "/dev/ttyACM0")])
    for serial in (None, SERIAL):
        error = flash_error(tmp_path, serial)
        assert error.fact.startswith(f"cannot open the probe {SERIAL} at /dev/ttyACM0, though it is connected")
        assert UDEV in error.remedy
    monkeypatch.setattr("sys.platform", "darwin")
    assert "udev" not in flash_error(tmp_path).remedy


def test_another_probe_than_the_one_asked_for(tmp_path: Path, stubs: Stubs, monkeypatch: pytest.MonkeyPatch) -> None:
    said = f"No connected debug probe matches unique ID '{OTHER}'\n0000440 E No target device available [load_cmd]\n"
    stubs.add("pyocd", said, 1)
    assert flash_error(tmp_path, OTHER).fact.startswith(f"found no probe with the serial number {OTHER} (it says")
    monkeypatch.setattr(flashing, "list_probes", lambda: [Probe(SERIAL)])
    error = flash_error(tmp_path, OTHER)
    assert f"serial number {OTHER}, only {SERIAL} (it says" in error.fact
    assert error.remedy.startswith("give one of these to --serial")
