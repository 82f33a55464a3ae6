"""Each image through a model once, in batches, with progress; an interrupted run continues from its cache file.

The cache file `DIR/<key>.npz` holds `embeddings`, a float32 array (n, D) of the first n images. Its key is the SHA-256
of the model's digest, engine, input size and scaling, mcugen's version, and name, size and time of every image file:
whatever is likely to change an embedding. It is replaced atomically, so it is whole at any moment.
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
import time
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

import numpy as np
from numpy.typing import NDArray

from mcugen import __version__
from mcugen.errors import McugenError
from mcugen.evaluate.images import FILTER, ImageSource, load_images
from mcugen.metrics.embeddings import check_embeddings

SAVE_SECONDS = 20.0
Vectors = NDArray[np.float32]


@dataclass(frozen=True)
class EvaluatedModel:
    """One format of one model.

    name: what reports call it, such as "host: hybrid.h5"; different for every model of an evaluation.
    embed: uint8 pixels (N, H, W, channels) to float32 embeddings (N, D); called with at most a batch of images.
    size: (H, W) of the input in pixels. channels: 3 (RGB) or 1 (grey).
    digest: identifies the model (and, for a built image, the firmware); "" forbids the cache.
    engine: what ran it, such as "float", "host", "unicorn", "serial".
    scaling: how `embed` turns pixels into inputs, in words that change when it does.
    """

    name: str
    embed: Callable[[NDArray[np.uint8]], Vectors]
    size: tuple[int, int]
    channels: int = 3
    digest: str = ""
    engine: str = ""
    scaling: str = ""


def embed_images(
    model: EvaluatedModel,
    source: ImageSource,
    names: Sequence[str],
    cache_dir: Path | None = None,
    batch: int = 64,
    progress: TextIO | None = None,
) -> Vectors:
    """Embeddings (N, D) of the named images, in their order.

    What a run had embedded when it ended for whatever reason (an error, Ctrl-C) is kept in `cache_dir`.

    Raises:
        McugenError: a missing or broken image, or an embedding no score can be computed from; both are named.
    """
    source.require(names)
    cache = cache_dir / f"{_key(model, source, names)}.npz" if cache_dir and model.digest else None
    parts = [_cached(cache, names, progress)] if cache else []
    done = sum(map(len, parts))
    saved, saved_at = done, time.monotonic()
    meter = _Meter(model.name, len(names), done, progress)
    try:
        for start in range(done, len(names), batch):
            chosen = names[start : start + batch]
            part = model.embed(load_images(source, chosen, model.size, model.channels))
            parts.append(np.asarray(check_embeddings(part, chosen, model.name), np.float32))
            done += len(chosen)
            meter.show(done)
            if cache and time.monotonic() - saved_at > SAVE_SECONDS:
                _save(cache, parts)
                saved, saved_at = done, time.monotonic()
    finally:
        meter.close()
        if cache and done > saved:
            _save(cache, parts)
    widths = {part.shape[1] for part in parts if len(part)}
    if len(widths) != 1:
        raise McugenError(model.name, f"gave embeddings of lengths {sorted(widths)}", "give all the same length")
    return np.concatenate([part for part in parts if len(part)])


def _key(model: EvaluatedModel, source: ImageSource, names: Sequence[str]) -> str:
    files = [(name, source.files[name].stamp()) for name in names]
    meaning = [__version__, model.digest, model.engine, model.size, model.channels, model.scaling, FILTER, files]
    return hashlib.sha256(json.dumps(meaning).encode()).hexdigest()


def _cached(cache: Path, names: Sequence[str], progress: TextIO | None) -> Vectors:
    """What an earlier run left, (0, 1) if nothing; a file that is not a cache is left aside and said so."""
    nothing = np.empty((0, 1), np.float32)
    try:
        with np.load(cache, allow_pickle=False) as file:
            found = file["embeddings"]
        return np.asarray(check_embeddings(found, names[: len(found)], str(cache)), np.float32)
    except FileNotFoundError:
        return nothing
    except (OSError, ValueError, KeyError, EOFError, TypeError, zipfile.BadZipFile, McugenError) as error:
        if progress:
            print(f"{cache} is damaged ({error}); starting anew", file=progress)
        return nothing


def _save(cache: Path, parts: list[Vectors]) -> None:
    """Replace the cache by one that holds `parts`; whoever reads it meanwhile sees the old one or the new one."""
    try:
        cache.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=cache.parent, prefix=cache.stem, suffix=".part")
        try:
            with os.fdopen(handle, "wb") as file:
                np.savez(file, embeddings=np.concatenate([part for part in parts if len(part)]))
            os.replace(name, cache)
        except BaseException:
            os.unlink(name)
            raise
    except OSError as error:
        raise McugenError(
            str(cache.parent), f"cannot keep the embeddings ({error})", "name a writable folder"
        ) from None


class _Meter:
    """One line of progress: rewritten on a terminal, a new one every ten seconds elsewhere."""

    def __init__(self, name: str, total: int, done: int, stream: TextIO | None) -> None:
        self.name, self.total, self.first, self.stream = name, total, done, stream
        self.began = self.shown = time.monotonic()
        self.terminal = bool(stream and stream.isatty())
        if stream and done:
            print(f"{name}: {done} of {total} images are in the cache", file=stream)

    def show(self, done: int) -> None:
        now = time.monotonic()
        if self.stream is None or (now - self.shown < (0.2 if self.terminal else 10) and done < self.total):
            return
        self.shown = now
        rate = (done - self.first) / max(now - self.began, 1e-9)
        text = f"{self.name}: {done}/{self.total} images, {rate:.1f}/s, {(self.total - done) / rate:.0f} s left"
        print(
            f"\r{text}\x1b[K" if self.terminal else text,
            end="" if self.terminal else "\n",
            file=self.stream,
            flush=True,
        )

    def close(self) -> None:
        if self.terminal and self.stream:
            print(file=self.stream)
