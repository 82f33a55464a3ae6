"""Who is on a photograph? Enrol people from photographs, then compare an embedding from the (simulated) board.

    python identify.py enrol people/ --gallery gallery.npz --on unicorn      people/Ada/1.jpg, people/Bob/1.jpg, ...
    python identify.py who photo.jpg --gallery gallery.npz --on unicorn
    python identify.py who photo.jpg --gallery gallery.npz --on /dev/ttyACM0

Photographs are aligned first (see align.py; --aligned if they are already). A person's place in the gallery is the mean
direction of the embeddings; a photograph belongs to the nearest person if the cosine reaches --threshold, by default the
one that decided best between the same person and strangers on Labeled Faces in the Wild.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

sys.path.insert(0, str(Path(__file__).parent))
from align import align, photographs

from mcugen.commands.evaluate import on_engine
from mcugen.errors import McugenError
from mcugen.evaluate.embed import EvaluatedModel
from mcugen.metrics.embeddings import unit_vectors
from mcugen.pipeline import integer_graph
from mcugen.quantise import InputGrid

MODEL = Path(__file__).parent / "hybrid.h5"
THRESHOLD = 0.21  # of hybrid.h5, `mcugen evaluate` on folds 1 and 2
Vectors = npt.NDArray[Any]


def open_model(path: Path, engine: str) -> EvaluatedModel:
    """The network on an engine: unicorn, host, reference, or a serial port."""
    grid = InputGrid()
    return on_engine(path, path.name, integer_graph(path, grid), engine, "nucleo-h743zi", "auto", grid)


def read_face(path: Path, size: int, is_aligned: bool) -> npt.NDArray[np.uint8]:
    """One face (size, size, 3); RuntimeError names a photograph without one."""
    if is_aligned:
        with Image.open(path) as image:
            return np.asarray(image.convert("RGB").resize((size, size), Image.Resampling.BILINEAR))
    face = align(path, size)
    if face is None:
        raise RuntimeError(f"{path}: no face found; give a photograph with a visible face")
    return face


def enrol(folder: Path, model: EvaluatedModel, gallery: Path, is_aligned: bool) -> dict[str, int]:
    """Write the mean embedding of every subfolder's photographs; returns how many photographs each person has."""
    people: dict[str, list[Path]] = {}
    for file, name in photographs([folder]):
        people.setdefault(name.parent.as_posix(), []).append(file)
    people.pop(".", None)
    if not people:
        raise RuntimeError(f"{folder} holds no folders with photographs; make one folder a person")
    faces = [read_face(file, model.size[0], is_aligned) for files in people.values() for file in files]
    found = unit_vectors(model.embed(np.stack(faces)))
    starts = np.cumsum([0, *map(len, people.values())])[:-1]
    means = unit_vectors(np.add.reduceat(found, starts))
    np.savez(gallery, names=np.array(list(people)), embeddings=means.astype(np.float32), digest=np.array(model.digest))
    return {name: len(files) for name, files in people.items()}


def who(photo: Path, model: EvaluatedModel, gallery: Path, is_aligned: bool) -> list[tuple[str, float]]:
    """People of the gallery with their cosine, the nearest first."""
    try:
        with np.load(gallery, allow_pickle=False) as file:
            names, known, digest = file["names"], file["embeddings"], str(file["digest"])
    except (OSError, ValueError, KeyError) as error:
        raise RuntimeError(f"{gallery} is no gallery ({error}); make it with: identify.py enrol") from error
    if digest != model.digest:
        raise RuntimeError(f"{gallery} was made with another network; enrol again with this one")
    found = unit_vectors(model.embed(read_face(photo, model.size[0], is_aligned)[None]))[0]
    scores = known @ found
    order = np.argsort(-scores)
    return [(str(names[row]), float(scores[row])) for row in order]


def main() -> int:
    """Enrol or identify; exit code 1 for a stranger."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("task", choices=["enrol", "who"])
    parser.add_argument("photos", type=Path, help="enrol: a folder with one folder a person; who: a photograph")
    parser.add_argument("--gallery", type=Path, default=Path("gallery.npz"))
    parser.add_argument("--model", type=Path, default=MODEL)
    parser.add_argument("--on", default="unicorn", help="unicorn, host, reference, or a serial port")
    parser.add_argument("--aligned", action="store_true", help="the photographs are aligned faces")
    parser.add_argument("--threshold", type=float, default=THRESHOLD, help=f"cosine (default {THRESHOLD})")
    options = parser.parse_args()
    try:
        model = open_model(options.model, options.on)
        if options.task == "enrol":
            for name, count in enrol(options.photos, model, options.gallery, options.aligned).items():
                print(f"{name}: {count} photographs")
            return 0
        ranked = who(options.photos, model, options.gallery, options.aligned)
    except (RuntimeError, McugenError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    for name, cosine in ranked[:3]:
        print(f"{name}: cosine {cosine:.3f}")
    known = ranked[0][1] >= options.threshold
    print(f"{options.photos.name} shows {ranked[0][0]}" if known else f"{options.photos.name} shows nobody enrolled")
    return 0 if known else 1


if __name__ == "__main__":
    sys.exit(main())
