"""Where the data files live (boards/, firmware/, templates/), in a source checkout and in an installed wheel."""

from __future__ import annotations

from pathlib import Path

from mcugen.errors import McugenError

_PACKAGE = Path(__file__).resolve().parent


def data_dir(kind: str) -> Path:
    """The folder of `kind` ("boards", "firmware" or "templates").

    Raises:
        McugenError: the installation holds no such folder.
    """
    for folder in (_PACKAGE / "data" / kind, _PACKAGE.parent / kind):
        if folder.is_dir():
            return folder
    raise McugenError(kind, f"the data folder is missing beside {_PACKAGE}", "install mcugen again")
