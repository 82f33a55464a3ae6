"""Pictures of made-up people, for what reads folders of faces."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
from PIL import Image


def write_people(
    folder: Path, people: Iterable[str], rng: np.random.Generator, images: int, noise: float, least: int = 60, most: int = 200
) -> None:
    """PERSON/PERSON_0001.png and so on, 6x6 pixels RGB: a random face of each person with another noise in each image."""
    for person in people:
        (folder / person).mkdir(parents=True)
        face = rng.integers(least, most, (6, 6, 3))
        for number in range(1, images + 1):
            pixels = np.clip(face + rng.normal(0, noise, face.shape), 0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(folder / person / f"{person}_{number:04d}.png")
