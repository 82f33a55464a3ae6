"""Photographs to aligned faces: find the largest face and its five landmarks (MTCNN), turn and scale it to the template.

    python align.py photo.jpg ... --output aligned/          writes aligned/photo.png, 96x96
    python align.py photos/ --size 112 --output aligned/     keeps the folders: photos/Ada/1.jpg -> aligned/Ada/1.png

The template is the usual one of 112x112 pixels (eyes near (38, 52) and (74, 52)), scaled to --size. Needs the package
mtcnn, which carries its own weights, and TensorFlow: pip install 'mcugen[qkeras,faces]'.
"""

from __future__ import annotations

import argparse
import os
import sys
from functools import cache
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_USE_LEGACY_KERAS", "1")

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps

LANDMARKS = ("left_eye", "right_eye", "nose", "mouth_left", "mouth_right")  # the viewer's left and right
TEMPLATE = np.array([[38.29, 51.70], [73.53, 51.50], [56.03, 71.74], [41.55, 92.37], [70.73, 92.20]])
TEMPLATE_SIZE = 112  # pixels
ENDINGS = {".jpg", ".jpeg", ".png", ".bmp", ".webp", ".ppm", ".pgm"}
LONGEST_SIDE = 1024  # pixels searched; larger photographs are scaled down for the detector alone

Pixels = npt.NDArray[np.uint8]
Points = npt.NDArray[np.float64]


def similarity(source: Points, target: Points) -> Points:
    """The turn, scale and shift (2, 3) that brings points (N, 2) nearest to others in least squares (Umeyama, 1991)."""
    first, second = source.mean(axis=0), target.mean(axis=0)
    a, b = source - first, target - second
    u, d, vt = np.linalg.svd(b.T @ a)
    turn = np.diag([1.0, np.sign(np.linalg.det(u @ vt))])
    rotation = u @ turn @ vt
    scale = np.trace(np.diag(d) @ turn) / np.sum(a**2)
    return np.column_stack([scale * rotation, second - scale * rotation @ first])


def aligned(photo: Image.Image, landmarks: Points, size: int) -> Pixels:
    """The face at `landmarks` (5, 2), in pixels of the photo, as (size, size, 3)."""
    forward = similarity(landmarks, TEMPLATE * size / TEMPLATE_SIZE)
    back = np.linalg.inv(np.vstack([forward, [0, 0, 1]]))[:2]
    back[:, 2] += back[:, :2] @ [-0.5, -0.5] + 0.5  # Pillow puts the centres of pixels at half numbers
    shrink = int(1 / np.sqrt(abs(np.linalg.det(forward[:, :2]))))
    if shrink > 1:  # bilinear sampling alone would skip pixels
        photo, back = photo.reduce(shrink), back / shrink
    return np.asarray(photo.transform((size, size), Image.Transform.AFFINE, back.ravel(), Image.Resampling.BILINEAR))


@cache
def detector() -> Any:
    """MTCNN with the weights of its package; a RuntimeError says what is missing."""
    try:
        from mtcnn import MTCNN
    except ImportError as error:
        raise RuntimeError(f"{error}; pip install 'mcugen[qkeras,faces]'") from error
    return MTCNN()


def find_landmarks(photo: Image.Image) -> Points | None:
    """Landmarks (5, 2) of the largest face in pixels of the photo, None if no face is found."""
    factor = min(1.0, LONGEST_SIDE / max(photo.size))
    small = photo if factor == 1 else photo.resize((round(photo.width * factor), round(photo.height * factor)))
    try:
        faces = detector().detect_faces(np.asarray(small))
    except ValueError:  # MTCNN fails on images without a single candidate
        faces = []
    if not faces:
        return None
    largest = max(faces, key=lambda face: face["box"][2] * face["box"][3])
    return np.array([largest["keypoints"][name] for name in LANDMARKS], float) / factor


def align(path: Path, size: int) -> Pixels | None:
    """The largest face of a photograph file as pixels (size, size, 3), None if there is none.

    Raises:
        RuntimeError: a file that is no image, named, or MTCNN missing.
    """
    try:
        with Image.open(path) as opened:
            photo = ImageOps.exif_transpose(opened).convert("RGB")
    except (OSError, SyntaxError, ValueError) as error:
        raise RuntimeError(f"{path} is no readable image ({error})") from error
    landmarks = find_landmarks(photo)
    return None if landmarks is None else aligned(photo, landmarks, size)


def photographs(paths: list[Path]) -> list[tuple[Path, Path]]:
    """(file, name to save it by) of files and of all images in folders."""
    found = []
    for path in paths:
        if path.is_dir():
            files = [file for file in sorted(path.rglob("*")) if file.suffix.lower() in ENDINGS]
            found += [(file, file.relative_to(path)) for file in files]
        elif path.exists():
            found.append((path, Path(path.name)))
        else:
            raise RuntimeError(f"{path}: no such file or folder")
    return found


def main() -> int:
    """Align files and folders; exit code 1 if a photograph shows no face."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", nargs="+", type=Path, help="files, or folders of them")
    parser.add_argument("--output", type=Path, required=True, help="folder to write to")
    parser.add_argument("--size", type=int, default=96, help="pixels (default 96)")
    options = parser.parse_args()
    missed = 0
    try:
        for file, name in photographs(options.photos):
            face = align(file, options.size)
            if face is None:
                missed += 1
                print(f"{file}: no face found", file=sys.stderr)
                continue
            target = (options.output / name).with_suffix(".png")
            target.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(face).save(target)
            print(target)
    except RuntimeError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
