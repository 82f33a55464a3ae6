"""Aligned LFW faces, the official verification pairs, and the verification score.

    python lfw.py --lfw lfw_aligned_112.tar --count 500 --output faces.npy

writes the first images of folds 1 and 2 as uint8 (N, 96, 96, 3), for `mcugen verify` and its like. Keep them to yourself.
"""

from __future__ import annotations

import argparse
import io
import tarfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np
import numpy.typing as npt
from PIL import Image

IMAGE_SIZE = 96  # pixels, unless another is asked for


@dataclass(frozen=True)
class Pair:
    """Two image names (``Person/Person_0001``), whether they show the same person, and the fold (1 to 10)."""

    first: str
    second: str
    same: bool
    fold: int


def read_pairs(path: Path, folds: Iterable[int]) -> list[Pair]:
    """The pairs of ``folds`` of an official ``pairs.txt`` (View 2)."""
    header, *rows = [line.split("\t") for line in path.read_text().splitlines()]
    per_fold = 2 * int(header[1])
    return [make_pair(rows[i], fold) for fold in folds for i in range((fold - 1) * per_fold, fold * per_fold)]


def make_pair(row: list[str], fold: int) -> Pair:
    """One row: person and two image numbers, or two persons with an image number each."""
    if len(row) == 3:
        return Pair(image_name(row[0], row[1]), image_name(row[0], row[2]), True, fold)
    return Pair(image_name(row[0], row[1]), image_name(row[2], row[3]), False, fold)


def image_name(person: str, number: str) -> str:
    """LFW's name of an image, without the file ending."""
    return f"{person}/{person}_{int(number):04d}"


def person_of(name: str) -> str:
    """The person an image name belongs to."""
    return name.split("/")[0]


def jpeg_files(source: Path) -> Iterator[tuple[str, bytes]]:
    """Names (``Person/Person_0001``) and bytes of all JPEG files in a folder or a tar file."""
    if source.is_dir():
        for file in sorted(source.rglob("*.jpg")):
            yield f"{file.parent.name}/{file.stem}", file.read_bytes()
        return
    with tarfile.open(source) as archive:
        for member in archive:
            content = archive.extractfile(member)
            path = PurePosixPath(member.name)
            if content is not None and path.suffix == ".jpg":
                yield f"{path.parent.name}/{path.stem}", content.read()


def read_images(source: Path, size: int = IMAGE_SIZE) -> dict[str, npt.NDArray[np.uint8]]:
    """All images of a folder or tar file by name, each resized to (size, size, 3), sorted by name."""
    images = {name: decoded(data, size) for name, data in jpeg_files(source)}
    return dict(sorted(images.items()))


def decoded(data: bytes, size: int = IMAGE_SIZE) -> npt.NDArray[np.uint8]:
    """A JPEG file as uint8 pixels (size, size, 3)."""
    with Image.open(io.BytesIO(data)) as image:
        resized = image.convert("RGB").resize((size, size), Image.Resampling.BILINEAR)
    return np.asarray(resized, np.uint8)


def best_threshold(scores: npt.NDArray[np.float64], same: npt.NDArray[np.bool_]) -> float:
    """The threshold t for which ``scores >= t`` agrees with ``same`` most often (midway between two scores)."""
    order = np.sort(scores)
    candidates = np.concatenate([[order[0] - 1], (order[1:] + order[:-1]) / 2, [order[-1] + 1]])
    hits = [np.mean((scores >= threshold) == same) for threshold in candidates]
    return float(candidates[int(np.argmax(hits))])


def area_under_roc(scores: npt.NDArray[np.float64], same: npt.NDArray[np.bool_]) -> float:
    """P(genuine score > impostor score) + P(equal) / 2."""
    genuine, impostor = scores[same][:, None], scores[~same][None, :]
    return float(np.mean(genuine > impostor) + np.mean(genuine == impostor) / 2)


def verification(pairs: list[Pair], embeddings: dict[str, npt.NDArray[np.float32]]) -> dict[str, float]:
    """Cosine verification: accuracy on each fold with the threshold chosen on the other folds, their mean, and AUC.

    ``embeddings`` holds a raw vector (128,) for each image name. Accuracies and AUC are fractions of 1.
    """
    first = np.stack([embeddings[pair.first] for pair in pairs]).astype(np.float64)
    second = np.stack([embeddings[pair.second] for pair in pairs]).astype(np.float64)
    norms = np.linalg.norm(first, axis=1) * np.linalg.norm(second, axis=1)
    scores = np.sum(first * second, axis=1) / np.maximum(norms, 1e-12)
    same = np.array([pair.same for pair in pairs])
    fold = np.array([pair.fold for pair in pairs])
    result = {}
    for number in np.unique(fold):
        test = fold == number
        threshold = best_threshold(scores[~test], same[~test])
        result[f"accuracy_fold_{number}"] = float(np.mean((scores[test] >= threshold) == same[test]))
    result["accuracy"] = float(np.mean(list(result.values())))
    result["auc"] = area_under_roc(scores, same)
    return result


def main() -> None:
    """Write test images as an array."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lfw", type=Path, required=True, help="aligned LFW: a folder or a tar file of Person/*.jpg")
    parser.add_argument("--pairs", type=Path, help="pairs.txt (default: beside or in --lfw)")
    parser.add_argument("--count", type=int, default=500)
    parser.add_argument("--size", type=int, default=IMAGE_SIZE, help="pixels")
    parser.add_argument("--output", type=Path, required=True, help="the .npy to write")
    args = parser.parse_args()
    beside = args.lfw if args.lfw.is_dir() else args.lfw.parent
    pairs = read_pairs(args.pairs or beside / "pairs.txt", (1, 2))
    names = sorted({name for pair in pairs for name in (pair.first, pair.second)})[: args.count]
    wanted = set(names)
    found = {name: data for name, data in jpeg_files(args.lfw) if name in wanted}
    np.save(args.output, np.stack([decoded(found[name], args.size) for name in names]))


if __name__ == "__main__":
    main()
