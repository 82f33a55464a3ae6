"""Results so far of a long run, kept beside its output: a run that was interrupted goes on where it was."""

from __future__ import annotations

import hashlib
import time
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mcugen.codegen.emit import graph_digest
from mcugen.inputs import write_atomically
from mcugen.ir import Array, Graph

SAVE_S = 5.0


class Partial:
    """`OUTPUT.part.npz`: the outputs of the first samples, under a key of model, engine and inputs.

    Args:
        path: where results are kept; None: nowhere.
        key: results kept under another key are of no use and are overwritten.
    """

    def __init__(self, path: Path | None, key: str) -> None:
        self.path, self._key = path, key
        self.parts = _load(path, key)
        self._saved_at = time.monotonic()

    @property
    def done(self) -> int:
        """Samples whose results are there."""
        return sum(int(part[0].shape[0]) for part in self.parts)

    def add(self, part: list[Array]) -> None:
        """The next samples' outputs; written to the file every few seconds."""
        self.parts.append(part)
        if time.monotonic() - self._saved_at >= SAVE_S:
            self.save()

    def results(self) -> list[Array]:
        """All outputs so far (N, ...)."""
        return [np.concatenate(pieces) for pieces in zip(*self.parts, strict=True)]

    def save(self) -> None:
        """Write the file, whole or not at all."""
        if self.path is not None and self.parts:
            arrays: dict[str, Any] = {f"output{i}": x for i, x in enumerate(self.results())}
            arrays["key"] = np.array(self._key)
            write_atomically(self.path, lambda file: np.savez(file, **arrays))
        self._saved_at = time.monotonic()

    def remove(self) -> None:
        """Everything was written where it belongs."""
        if self.path is not None:
            self.path.unlink(missing_ok=True)


def partial_path(output: Path | None) -> Path | None:
    """OUTPUT.part.npz beside OUTPUT."""
    return output.with_name(f"{output.name}.part.npz") if output is not None else None


def run_key(graph: Graph, engine: str, inputs: Sequence[Array]) -> str:
    """Digest of all that decides the results and who computes them."""
    digest = hashlib.sha256(f"{graph_digest(graph)} {engine}".encode())
    for x in inputs:
        digest.update(f"{x.dtype} {x.shape}".encode() + np.ascontiguousarray(x).tobytes())
    return digest.hexdigest()


def _load(path: Path | None, key: str) -> list[list[Array]]:
    """What an earlier run kept under the same key; a damaged file counts as none."""
    try:
        if path is None:
            return []
        with np.load(path, allow_pickle=False) as kept:
            if str(kept["key"]) != key:
                return []
            outputs = [kept[f"output{i}"] for i in range(len(kept.files) - 1)]
    except (OSError, ValueError, KeyError, EOFError, SyntaxError, zipfile.BadZipFile):
        return []
    return [outputs] if outputs and len({x.shape[0] for x in outputs}) == 1 else []
