"""Flashing by copying the image to the ST-LINK's mass storage.

The ST-LINK programs the chip while the file arrives, then takes its volume away and brings it back without the file; where
programming failed the new volume holds FAIL.TXT.
"""

from __future__ import annotations

import contextlib
import glob
import os
import string
import sys
import time
from fnmatch import fnmatch
from pathlib import Path

from mcugen.errors import CheckFailed, McugenError
from mcugen.flashing.bundle import BINARY, Bundle
from mcugen.flashing.tools import Tool

PARENTS = ("/media", "/media/*", "/run/media/*", "/mnt", "/Volumes")
POLL_S, SETTLE_S = 0.25, 2.0


def find_volumes(pattern: str) -> list[Path]:
    """Mounted volumes whose name fits `pattern`; on Windows by their labels."""
    if sys.platform == "win32":
        return [Path(f"{letter}:\\") for letter in string.ascii_uppercase if fnmatch(_label(f"{letter}:\\"), pattern)]
    found = {path for parent in PARENTS for path in glob.glob(os.path.join(parent, pattern))}
    return [Path(path) for path in sorted(found) if os.path.ismount(path)]


def copy_to_volume(tool: Tool, bundle: Bundle, limit: float) -> str:
    """Copies the binary to the board's volume and waits until the ST-LINK has programmed it.

    Raises:
        McugenError: several volumes.
        CheckFailed: no volume, it is full or goes away, FAIL.TXT appears, or nothing happens for `limit` seconds.
    """
    volumes = find_volumes(tool.volume)
    if not volumes:
        remedy = "connect the board (CN1) and mount its volume, or install another flash tool"
        raise CheckFailed(tool.name, f"found no mounted volume {tool.volume}", remedy)
    if len(volumes) > 1:
        fact = f"several volumes fit: {', '.join(map(str, volumes))}"
        raise McugenError(tool.name, fact, "unplug all boards but one, or use another tool and --serial")
    volume, fail_file = volumes[0], volumes[0] / (tool.fail_file or "FAIL.TXT")
    stale = _read(fail_file)
    _write(tool, volume / BINARY, (bundle.folder / BINARY).read_bytes(), stale)
    said = _await(volume, fail_file, stale, limit)
    if said is not None:
        raise CheckFailed(tool.name, f"{fail_file.name} says `{said}`", _remedy(said))
    return f"copied {bundle.size:,} bytes to {volume}, and the ST-LINK reports no failure; it does not say what it compared"


def _write(tool: Tool, target: Path, content: bytes, stale: str | None) -> None:
    try:
        with open(target, "wb") as file:
            file.write(content)
            file.flush()
            with contextlib.suppress(OSError):  # the volume may go away as soon as the last byte has arrived
                os.fsync(file.fileno())
    except OSError as error:
        told = f" (its {tool.fail_file} says `{stale}`)" if stale else ""
        fact = f"{target} cannot be written: {error.strerror}{told}"
        raise CheckFailed(tool.name, fact, "unplug the board, plug it in and try again, or use another --tool") from error


def _await(volume: Path, fail_file: Path, stale: str | None, limit: float) -> str | None:
    """None when the volume came back without a failure, else what FAIL.TXT says."""
    end, back_since = time.monotonic() + limit, None
    while time.monotonic() < end:
        time.sleep(POLL_S)
        gone = not (volume / BINARY).exists()
        said = _read(fail_file)
        if said is not None and (gone or said != stale):
            return said
        back = gone and os.path.ismount(volume)
        back_since = (back_since or time.monotonic()) if back else None
        if back_since is not None and time.monotonic() - back_since >= SETTLE_S:
            return None
    if (volume / BINARY).exists():
        fact = f"{BINARY} still lies on {volume} after {limit:.0f} s: the ST-LINK did not take it"
    else:
        fact = f"{volume} did not come back within {limit:.0f} s, so it is not known whether the chip was programmed"
    raise CheckFailed("mass-storage", fact, "plug the board in again and run `mcugen test`, or use another --tool")


def _remedy(said: str) -> str:
    if "reset/halt" in said:
        return "keep the reset button pressed while plugging the board in, and check its jumpers (docs/bring-up.md)"
    return "unplug the board, plug it in and try again, or use another --tool"


def _read(path: Path) -> str | None:
    try:
        return " ".join(path.read_text(encoding="utf-8", errors="replace").split())
    except OSError:
        return None


def _label(root: str) -> str:
    import ctypes

    label = ctypes.create_unicode_buffer(261)
    kernel32 = ctypes.windll.kernel32  # type: ignore[attr-defined,unused-ignore]
    return label.value if kernel32.GetVolumeInformationW(root, label, 261, None, None, None, None, 0) else ""
