"""Sound HDF5 files may be read in this process, which is ten times as fast as in one of their own."""

from __future__ import annotations

from pathlib import Path

from mcugen.load import hdf5, hdf5_dump


def contents_here(path: Path, group: str, node: str) -> hdf5.Contents:
    """Takes the place of `hdf5.contents`."""
    target = path.with_name(f"{path.name}.contents.npz")
    hdf5_dump.dump(str(path), str(target), group)
    found = hdf5.read_dump(target)
    target.unlink()
    return found
