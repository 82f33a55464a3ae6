"""The face examples: landmarks to the template, people to names."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

sys.path.insert(0, str(Path(__file__).parents[2] / "examples" / "faces"))
import align
import identify

from mcugen.evaluate.embed import EvaluatedModel


def test_similarity_is_recovered() -> None:
    angle, scale, shift = 0.4, 1.7, np.array([12.0, -5.0])
    turn = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    found = align.similarity(align.TEMPLATE, align.TEMPLATE @ turn.T + shift)
    assert np.allclose(found, np.column_stack([turn, shift]))


def test_a_mirrored_face_is_turned_not_mirrored() -> None:
    found = align.similarity(align.TEMPLATE * [-1, 1], align.TEMPLATE)
    assert np.linalg.det(found[:, :2]) > 0


@pytest.mark.parametrize(("scale", "angle"), [(1.0, 0.0), (2.5, 0.5), (7.0, -0.3)])
def test_landmarks_land_on_the_template(scale: float, angle: float) -> None:
    """Five white discs in a large photograph come to lie at the template's points."""
    turn = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    landmarks = (align.TEMPLATE - 56) @ turn.T + 500
    y, x = np.mgrid[:1000, :1000]
    far = np.min([np.hypot(x - px, y - py) for px, py in landmarks], axis=0)
    photo = np.repeat(np.where(far < 3 * scale, 255, 0).astype(np.uint8)[..., None], 3, axis=2)
    face = align.aligned(Image.fromarray(photo), landmarks, 96)[..., 0].astype(float)
    assert face.shape == (96, 96)
    for px, py in align.TEMPLATE * 96 / 112:
        rows, columns = np.mgrid[round(py) - 5 : round(py) + 6, round(px) - 5 : round(px) + 6]
        weight = face[rows, columns]
        centre = (weight * columns).sum() / weight.sum(), (weight * rows).sum() / weight.sum()
        assert np.hypot(centre[0] - px, centre[1] - py) < 0.3


def colours(pixels: np.ndarray) -> np.ndarray:
    """Stands for a network: the mean colour of a picture."""
    return pixels.mean(axis=(1, 2)).astype(np.float32) - 100


def test_people_are_enrolled_and_found(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for person, colour in (("Ada", (220, 30, 30)), ("Bob", (30, 220, 30))):
        (tmp_path / "people" / person).mkdir(parents=True)
        for number in (1, 2, 3):
            pixels = np.clip(np.array(colour) + rng.normal(0, 20, (8, 8, 3)), 0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(tmp_path / "people" / person / f"{number}.png")
    model = EvaluatedModel("colours", colours, (8, 8), digest="d")
    (tmp_path / "people" / "Ada" / "3.png").rename(tmp_path / "photo.png")
    assert identify.enrol(tmp_path / "people", model, tmp_path / "g.npz", True) == {"Ada": 2, "Bob": 3}
    ranked = identify.who(tmp_path / "photo.png", model, tmp_path / "g.npz", True)
    assert [name for name, _ in ranked] == ["Ada", "Bob"] and ranked[0][1] > 0.9 > ranked[1][1]
    other = EvaluatedModel("colours", colours, (8, 8), digest="other")
    with pytest.raises(RuntimeError, match="another network"):
        identify.who(tmp_path / "photo.png", other, tmp_path / "g.npz", True)
    with pytest.raises(RuntimeError, match="no folders"):
        identify.enrol(tmp_path / "people" / "Bob", model, tmp_path / "g.npz", True)
