"""Aligned LFW faces, the official verification pairs, and the verification score.

    python lfw.py --lfw lfw_aligned_112.tar --count 500 --output faces.npy

writes the first images of folds 1 and 2 as uint8 (N, 96, 96, 3), for `mcugen verify` and its like. Keep them to yourself.
"""

from __future__ import annotations

import argparse
import io
import tarfile
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath

import numpy as np
import numpy.typing as npt
from PIL import Image

from mcugen.metrics.curves import auc, roc
from mcugen.metrics.embeddings import cosine_scores
from mcugen.metrics.pairs import Pair, images_of, read_pairs
from mcugen.metrics.verification import k_fold_accuracy

IMAGE_SIZE = 96  # pixels, unless another is asked for


def pairs_of(path: Path, folds: Iterable[int]) -> list[Pair]:
    """The pairs of ``folds`` of an official ``pairs.txt`` (View 2)."""
    wanted = set(folds)
    return [pair for pair in read_pairs(path) if pair.fold in wanted]


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


def verification(pairs: list[Pair], embeddings: dict[str, npt.NDArray[np.float32]]) -> dict[str, float]:
    """Cosine verification: accuracy on each fold with the threshold chosen on the other folds, their mean, and AUC.

    ``embeddings`` holds a raw vector (128,) for each image name. Accuracies and AUC are fractions of 1, as `mcugen
    evaluate` computes them.
    """
    first = np.stack([embeddings[pair.first] for pair in pairs])
    second = np.stack([embeddings[pair.second] for pair in pairs])
    scores, same = cosine_scores(first, second), np.array([pair.same for pair in pairs])
    found = k_fold_accuracy(scores, same, np.array([pair.fold for pair in pairs]))
    result = {f"accuracy_fold_{fold.fold}": fold.accuracy for fold in found.folds}
    return result | {"accuracy": found.accuracy, "auc": auc(roc(scores, same))}


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
    names = images_of(pairs_of(args.pairs or beside / "pairs.txt", (1, 2)))[: args.count]
    wanted = set(names)
    found = {name: data for name, data in jpeg_files(args.lfw) if name in wanted}
    np.save(args.output, np.stack([decoded(found[name], args.size) for name in names]))


if __name__ == "__main__":
    main()
