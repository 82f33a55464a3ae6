"""Arrays from .npy files as float32 inputs of a model."""

from __future__ import annotations

import io
import os
import tempfile
from pathlib import Path
from typing import IO

import numpy as np

from mcugen.errors import McugenError
from mcugen.ir import Array, Float
from mcugen.quantise import InputGrid

MAX_BYTES = 1 << 32


def read_array(path: Path) -> Array:
    """An array from a .npy file, or the only one of a .npz file; nothing pickled."""
    try:
        with path.open("rb") as file:
            start = file.read(6)
        if not start.startswith((b"\x93NUMPY", b"PK")):
            raise McugenError(str(path), "is no .npy array", "write it with numpy.save")
        loaded = np.load(path, allow_pickle=False)
        if isinstance(loaded, np.lib.npyio.NpzFile):
            if len(loaded.files) != 1:
                raise McugenError(str(path), f"holds {len(loaded.files)} arrays", "give a .npy file with one array")
            loaded = loaded[loaded.files[0]]
        return np.asarray(loaded)
    except OSError as error:
        raise McugenError(str(path), f"cannot be read ({error.strerror or error})", "check the path") from error
    except (ValueError, EOFError, MemoryError, SyntaxError) as error:
        reason = str(error).splitlines()[0][:200] if str(error) else type(error).__name__
        raise McugenError(str(path), f"is no .npy array ({reason})", "write it with numpy.save") from error


def to_float(path: Path | str, values: Array, grid: InputGrid) -> Float:
    """Floats as float32; uint8 u as (u - offset) * scale; anything else is refused."""
    if values.ndim < 1 or values.shape[0] < 1:
        raise McugenError(str(path), f"its shape {values.shape} holds no sample", "give an array (N, ...)")
    if values.dtype == np.uint8:
        return (values.astype(np.float32) - np.float32(grid.offset)) * np.float32(grid.scale)
    if values.dtype.kind == "f":
        with np.errstate(over="ignore"):  # too large for float32 is infinite, which `encode_inputs` refuses
            return values.astype(np.float32)
    raise McugenError(str(path), f"holds {values.dtype}", "give float32 as the model takes it, or uint8")


def read_inputs(paths: tuple[Path, ...] | list[Path], grid: InputGrid) -> list[Float]:
    """One array an input of the model, all of the same number of samples."""
    arrays = [to_float(path, read_array(path), grid) for path in paths]
    if len({array.shape[0] for array in arrays}) > 1:
        raise McugenError("inputs", "the arrays differ in their number of samples", "give equal first axes")
    return arrays


def write_array(path: Path, values: Array) -> None:
    """Writes a .npy file whole or not at all."""
    write_atomically(path, lambda file: np.save(file, values))


def write_text(path: Path, content: str) -> None:
    """Writes a text file whole or not at all."""
    write_atomically(path, lambda file: file.write(content.encode()))


def write_atomically(path: Path, put: object) -> None:
    """Calls put(file) on a temporary file beside `path`, then renames it; pipes and devices are written as they are."""
    path = path.resolve()
    if path.exists() and not path.is_file():
        buffer = io.BytesIO()
        _call(put, buffer)
        _write(path, buffer.getvalue())
        return
    try:
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")
    except OSError as error:
        raise _unwritable(path, error) from error
    try:
        with os.fdopen(handle, "wb") as file:
            _call(put, file)
        os.chmod(name, 0o644)
        os.replace(name, path)
    except OSError as error:
        Path(name).unlink(missing_ok=True)
        raise _unwritable(path, error) from error


def _write(path: Path, content: bytes) -> None:
    try:
        path.write_bytes(content)
    except OSError as error:
        raise _unwritable(path, error) from error


def _unwritable(path: Path, error: OSError) -> McugenError:
    return McugenError(str(path), f"cannot be written ({error.strerror})", "name another file")


def _call(put: object, file: IO[bytes]) -> None:
    assert callable(put)
    put(file)
