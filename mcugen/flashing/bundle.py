"""What is to be flashed: a build folder whose firmware files are whole."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from mcugen.boards import load_board
from mcugen.build import MANIFEST, read_manifest
from mcugen.elf import binary_image
from mcugen.errors import McugenError
from mcugen.ir import Board

ELF, BINARY = "firmware.elf", "firmware.bin"
_AGAIN = "build the model again"


@dataclass(frozen=True)
class Bundle:
    """A checked build folder; `size` is that of the binary, which starts at `address`."""

    folder: Path
    model: str
    board: Board
    size: int
    address: int


def read_bundle(folder: Path, board: str | Path | None = None) -> Bundle:
    """Checks the folder and its firmware files.

    Args:
        board: a board file where the one used for the build does not come with mcugen.

    Raises:
        McugenError: no build folder, another board, or a file is missing, cut off or not the one that was built.
    """
    manifest = read_manifest(folder)
    chosen = load_board(board or manifest["board"])  # not the folder's own file: what it says is run
    if chosen.name != manifest["board"]:
        raise McugenError(str(folder), f"was built for {manifest['board']}, not for {chosen.name}", "build it for this board")
    code = chosen.home("code")
    elf, binary = _read(folder / ELF), _read(folder / BINARY)
    if not elf.startswith(b"\x7fELF"):
        raise McugenError(str(folder / ELF), "is no ELF file", _AGAIN)
    if len(binary) > code.size:
        raise McugenError(str(folder / BINARY), f"is {len(binary):,} bytes long, the flash {code.size:,}", _AGAIN)
    digest = manifest.get("binary_sha256")
    if digest is not None and hashlib.sha256(binary).hexdigest() != digest:
        raise McugenError(str(folder / BINARY), f"is not the file that was built (its digest in {MANIFEST} differs)", _AGAIN)
    if binary_image(folder / ELF, code) != binary:
        raise McugenError(str(folder), f"{ELF} and {BINARY} hold different programs", _AGAIN)
    return Bundle(folder, str(manifest.get("model", "?")), chosen, len(binary), code.start)


def _read(path: Path) -> bytes:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise McugenError(str(path), f"cannot be read ({error.strerror})", _AGAIN) from error
    if not content:
        raise McugenError(str(path), "is empty", _AGAIN)
    return content
