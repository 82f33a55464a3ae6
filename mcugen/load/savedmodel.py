"""SavedModel directories: converted to `.h5` by TensorFlow in a process of its own, within a time limit.

Loading a SavedModel executes the code it holds; use it for your own files only.
"""

from __future__ import annotations

import contextlib
import hashlib
import tempfile
from collections.abc import Iterator
from pathlib import Path

from mcugen.errors import McugenError

SECONDS = 300


@contextlib.contextmanager
def converted(directory: Path) -> Iterator[tuple[Path, str]]:
    """An `.h5` twin of a SavedModel in a temporary folder, and the digest of the directory's files."""
    from mcugen.reference import run

    if not (directory / "saved_model.pb").is_file():
        raise McugenError(str(directory), "the directory is no SavedModel", "give an .h5 or .keras file")
    digest = hashlib.sha256()
    for file in sorted(directory.rglob("*")):
        if file.is_file():
            digest.update(str(file.relative_to(directory)).encode() + b"\0" + file.read_bytes())
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "model.h5"
        run(["convert", str(directory), str(target)], SECONDS, directory.name)
        yield target, digest.hexdigest()
