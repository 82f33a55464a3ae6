"""What flash tools say when they fail, and what it means.

The patterns are the messages of openocd 0.11 and 0.12, stlink 1.7 and 1.8, pyOCD 0.46 and STM32CubeProgrammer 2.x. The
first that matches decides, so those that prove that the tool got further stand first: a tool may well complain about the
permissions of some other USB device and then succeed in talking to the right one.
"""

from __future__ import annotations

import re
import signal
import sys
from collections.abc import Sequence
from dataclasses import dataclass

from mcugen.errors import CheckFailed, McugenError
from mcugen.flashing.probes import Probe


@dataclass(frozen=True)
class Failure:
    """A known failure: `pattern` finds its message; `usage` where no hardware was involved (exit code 2)."""

    name: str
    pattern: str
    fact: str
    remedy: str
    usage: bool = False


UDEV = "install the udev rules (apt install stlink-tools brings them; docs/bring-up.md), then unplug the board and plug it in"
_LET_GO = "close every debugger, IDE and other flash tool that uses it, then try again"
FAILURES = (
    Failure(
        "mismatch",
        r"Verify Failed|[Vv]erification of flash failed|Mismatched byte|checksum mismatch|Data mismatch|"
        r"Download verification failed|mismatch found",
        "wrote the flash, but read back something else",
        "flash again with another cable or another --tool; if it stays so, the chip's flash is worn out",
    ),
    Failure(
        "locked",
        r"[Rr]ead.?[Oo]ut [Pp]rotect|\bRDP\b|[Ww]rite.?protected|\bWRPERR\b|device protected|[Ff]ailed to unlock flash|"
        r"flash write failed, FLASH_SR|erase time-out or operation error|Memory transfer fault|failed to erase memory|"
        r"not erased or protected",
        "the chip refuses to be erased or written: its flash is locked (read-out or write protection)",
        "unlock it, which erases it: STM32_Programmer_CLI -c port=SWD mode=UR -ob RDP=0xAA",
    ),
    Failure(
        "chip",
        r"Cannot identify target as a STM32|IDC\.DEV_ID .* did not match|auto_probe failed|has a single bank only",
        "the chip is not the one of the board file",
        "check what is printed on the chip and the board, and build for that board",
    ),
    Failure(
        "power",
        r"[Tt]arget voltage may be too low|Target voltage: 0\.|Voltage\s*: 0[.,]\d|target voltage = [0-9]{1,3}mV",
        "the chip has no power",
        "set the power jumper back to the ST-LINK's USB (docs/bring-up.md)",
    ),
    Failure(
        "silent",
        r"init mode failed|unable to connect to the target|No STM32 target found|[Ff]ailed to connect to target|"
        r"unknown chip id|examination failed|Target not examined|PARTNO .* unrecognized|No ACK|Unable to reset target|"
        r"Can not connect to target|[Gg]et IDCODE error|No device connected|DEV_(CONNECT|TARGET)\w*ERR",
        "the probe works, but the chip does not answer",
        "keep the board's reset button pressed, start again, let go; else set the board's jumpers back to how it was delivered",
    ),
    Failure(
        "write",
        r"Programming Failed|failed to download|fwrite_flash\(\) == -1|flash (erase|program) .*failure|Failed to write flash",
        "the flash could not be written",
        "unplug the board, plug it in and try again; if it stays so, use another --tool",
    ),
    Failure(
        "busy",
        r"LIBUSB_ERROR_BUSY|[Rr]esource busy|unable to claim|already in use|claim interface failed|couldn't bind",
        "the probe is in use by another program",
        _LET_GO,
    ),
    Failure(
        "permission",
        r"LIBUSB_ERROR_ACCESS|Access denied|insufficient permissions|access error|Permission denied|errno=13",
        "the probe is connected, but this user may not open it",
        UDEV,
    ),
    Failure(
        "driver",
        r"LIBUSB_ERROR_NOT_SUPPORTED|LIBUSB_ERROR_NOT_FOUND|no libusb library",
        "the USB driver is missing",
        "install ST's USB driver STSW-LINK009 (Windows) or libusb, or copy the image with --tool mass-storage",
    ),
    Failure(
        "usb",
        r"LIBUSB_ERROR_(TIMEOUT|IO|PIPE|NO_DEVICE|OTHER|OVERFLOW)|DEV_USB_COMM_ERR|libusb_bulk_\w+ error|USB Error",
        "the USB connection to the probe broke off",
        "unplug the board, plug it straight into the computer with a short data cable, and try again",
    ),
    Failure(
        "several",
        r"More than one debug probe|Multiple devices found|number of the debug probe",
        "several probes are connected",
        "choose one with --serial; `mcugen flash --list` shows them",
        usage=True,
    ),
    Failure(
        "probe",
        r"Error: open failed|Couldn't find \w+ ST-Link|No connected debug probe|No target device available|"
        r"No debug probe detected|no ST-LINK detected|ST-LINK open failed",
        "found no probe",
        "connect the board's ST-LINK socket (CN1) with a cable that carries data; `mcugen flash --list` shows what is found",
    ),
    Failure(
        "tool",
        r"Can't find (board|interface|target)/|invalid command name|invalid command line|[Tt]arget type .* not recognized|"
        r"unrecognized arguments|invalid choice",
        "this version does not know the board or the command",
        "install a newer version, or use another --tool",
        usage=True,
    ),
)
_NOISE = re.compile(r"\s*$|shutdown command invoked|in procedure |at file ")


def explain(tool: str, code: int, output: str, log: str, serial: str | None, probes: Sequence[Probe]) -> McugenError:
    """The error to raise when a tool ended with `code` without having written and verified the flash.

    Args:
        log: where the whole output can be read ("" where it could not be kept).
        serial: the probe that was asked for.
        probes: what is on the USB, to tell a missing probe from one that may not be opened.
    """
    see = f"; all it said is in {log}" if log else ""
    if _crashed(code):
        return CheckFailed(tool, f"crashed with {_signal_name(code)}{_quote(last_line(output))}", f"use another --tool{see}")
    failure = next((failure for failure in FAILURES if re.search(failure.pattern, output)), None)
    if failure is None:
        fact = f"ended with exit code {code}" if code else "ended without saying that it compared the flash"
        return CheckFailed(tool, fact + _quote(last_line(output)), f"try again, or use another --tool{see}")
    fact, remedy, kind = failure.fact, failure.remedy, McugenError if failure.usage else CheckFailed
    if failure.name == "probe" and serial and all(probe.serial != serial for probe in probes):
        fact = f"found no probe with the serial number {serial}" + (f", only {_names(probes)}" if probes else "")
        remedy = "give one of these to --serial" if probes else remedy
    elif failure.name == "probe" and probes:
        fact = f"cannot open the probe {_names(probes)}, though it is connected"
        remedy = f"{_LET_GO}; otherwise {UDEV}" if sys.platform.startswith("linux") else _LET_GO
    elif failure.name == "permission" and not sys.platform.startswith("linux"):
        remedy = _LET_GO
    said = [line for line in output.splitlines() if re.search(failure.pattern, line)]
    return kind(tool, fact + _quote(said[-1] if said else ""), remedy + see)


def last_line(output: str) -> str:
    """The last line that says something."""
    return next((line for line in reversed(output.splitlines()) if not _NOISE.match(line)), "")


def _names(probes: Sequence[Probe]) -> str:
    return ", ".join(map(str, probes))


def _quote(line: str) -> str:
    line = " ".join(line.split())
    return f" (it says `{line[:200]}`)" if line else ""


def _crashed(code: int) -> bool:
    return code < 0 or code >= 0x80000000


def _signal_name(code: int) -> str:
    try:
        return signal.Signals(-code).name
    except ValueError:
        return f"code {code:#x}"
