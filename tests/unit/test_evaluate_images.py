"""Images from folders and tar files; embeddings computed once, kept, and continued."""

from __future__ import annotations

import builtins
import io
import os
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from mcugen.errors import McugenError
from mcugen.evaluate import EvaluatedModel
from mcugen.evaluate.embed import embed_images
from mcugen.evaluate.images import decode, load_images, open_images

RNG = np.random.default_rng(0)


def png(pixels: np.ndarray) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Six images of 8 x 6 pixels (H x W): A and B with three each."""
    for person in "AB":
        (tmp_path / "images" / person).mkdir(parents=True)
        for number in range(1, 4):
            pixels = RNG.integers(0, 256, (8, 6, 3), np.uint8)
            (tmp_path / "images" / person / f"{person}_{number:04d}.png").write_bytes(png(pixels))
    (tmp_path / "images" / "A" / "notes.txt").write_text("no image")
    (tmp_path / "images" / "A" / "._A_0001.png").write_text("left by another system")
    return tmp_path / "images"


NAMES = tuple(f"{person}/{person}_{number:04d}" for person in "AB" for number in (1, 2, 3))


def tarred(folder: Path, path: Path) -> Path:
    with tarfile.open(path, "w") as archive:
        archive.add(folder, arcname="./faces")
    return path


def test_folder_and_tar_file_give_the_same_pixels(folder: Path) -> None:
    pixels = load_images(folder, NAMES, (8, 6))
    assert pixels.shape == (6, 8, 6, 3) and pixels.dtype == np.uint8
    exact = np.asarray(Image.open(folder / "B" / "B_0002.png"))
    np.testing.assert_array_equal(pixels[4], exact)
    archive = tarred(folder, folder.parent / "faces.tar")
    np.testing.assert_array_equal(load_images(archive, NAMES, (8, 6)), pixels)
    with open_images(archive) as source:
        assert tuple(sorted(source.files)) == NAMES


def test_sizes_and_channels(folder: Path) -> None:
    with Image.open(folder / "A" / "A_0001.png") as image:
        smaller = np.asarray(image.resize((3, 4), Image.Resampling.BILINEAR))
        grey = np.asarray(image.convert("L"))
    np.testing.assert_array_equal(load_images(folder, NAMES[:1], (4, 3))[0], smaller)
    np.testing.assert_array_equal(load_images(folder, NAMES[:1], (8, 6), channels=1)[0, :, :, 0], grey)
    with pytest.raises(McugenError, match="2 channels"):
        load_images(folder, NAMES[:1], (8, 6), channels=2)


def test_grey_files_become_rgb_and_a_turned_camera_is_turned_back() -> None:
    grey = np.arange(12, dtype=np.uint8).reshape(4, 3)
    np.testing.assert_array_equal(decode(png(grey), "g", (4, 3)), np.repeat(grey[..., None], 3, axis=2))
    file, exif = io.BytesIO(), Image.Exif()
    exif[0x0112] = 3  # upside down
    Image.fromarray(grey).save(file, "PNG", exif=exif)
    np.testing.assert_array_equal(decode(file.getvalue(), "g", (4, 3), 1)[..., 0], grey[::-1, ::-1])


def test_missing_and_broken_images_are_named(folder: Path) -> None:
    with pytest.raises(McugenError, match=r"C/C_0001: no such image among the 6 of .* \(and 1 more\)"):
        load_images(folder, ["A/A_0001", "C/C_0001", "C/C_0002"], (8, 6))
    whole = (folder / "A" / "A_0002.png").read_bytes()
    for broken in (b"", b"not an image", whole[:60], whole[:-80]):
        (folder / "A" / "A_0002.png").write_bytes(broken)
        with pytest.raises(McugenError, match=r"A_0002\.png: is not a readable image"):
            load_images(folder, NAMES, (8, 6))
    (folder / "A" / "A_0002.png").write_bytes(png(RNG.integers(0, 65536, (8, 6), np.uint16)))
    with pytest.raises(McugenError, match=r"A_0002\.png: has pixels of mode I;16, not 8 bits"):
        load_images(folder, NAMES, (8, 6))


def test_a_file_that_goes_away_is_named(folder: Path) -> None:
    with open_images(folder) as source:
        (folder / "B" / "B_0001.png").unlink()
        with pytest.raises(McugenError, match=r"B_0001\.png: cannot be read"):
            load_images(source, NAMES, (8, 6))


def test_sources_without_images_are_refused(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "text").write_text("no tar file")
    with pytest.raises(McugenError, match="neither a folder nor a tar file") as raised, open_images(tmp_path / "text"):
        pass
    assert "\n" not in str(raised.value)
    with pytest.raises(McugenError, match="neither a folder nor a tar file"), open_images(tmp_path / "absent"):
        pass
    (tmp_path / "empty").mkdir()
    with pytest.raises(McugenError, match="holds no images"), open_images(tmp_path / "empty"):
        pass
    archive = tarred(folder, tmp_path / "faces.tar")
    archive.write_bytes(archive.read_bytes()[:3000])
    with pytest.raises(McugenError, match="tar file"), open_images(archive) as source:
        load_images(source, NAMES, (8, 6))
    (folder / "A" / "A_0001.jpg").write_bytes(b"")
    with pytest.raises(McugenError, match="has the same name A/A_0001"), open_images(folder):
        pass


def test_without_pillow_the_message_says_what_to_install(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without(name: str, *rest: Any) -> Any:
        if name.startswith("PIL"):
            raise ImportError(name)
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(McugenError, match=r"pip install 'mcugen\[faces\]"):
        load_images(folder, NAMES, (8, 6))


class Counting:
    """An embedding that remembers its calls and may fail at one of them."""

    def __init__(self, fail_at: int = -1, error: BaseException | None = None) -> None:
        self.sizes: list[int] = []
        self.fail_at, self.error = fail_at, error

    def __call__(self, pixels: np.ndarray) -> np.ndarray:
        if len(self.sizes) == self.fail_at and self.error:
            raise self.error
        self.sizes.append(len(pixels))
        return pixels.reshape(len(pixels), -1)[:, :5].astype(np.float32) + 1

    def model(self, **changes: Any) -> EvaluatedModel:
        return EvaluatedModel(**{"name": "host: m", "embed": self, "size": (8, 6), "digest": "d", **changes})


def test_each_image_is_embedded_once_in_batches(folder: Path) -> None:
    counting = Counting()
    with open_images(folder) as source:
        vectors = embed_images(counting.model(), source, NAMES, None, batch=4)
    assert counting.sizes == [4, 2]
    np.testing.assert_array_equal(vectors, load_images(folder, NAMES, (8, 6)).reshape(6, -1)[:, :5] + np.float32(1))


@pytest.mark.parametrize("error", [KeyboardInterrupt(), McugenError("port", "is gone", "plug it in")])
def test_an_interrupted_run_continues(folder: Path, tmp_path: Path, error: BaseException) -> None:
    cache, progress = tmp_path / "cache", io.StringIO()
    with open_images(folder) as source:
        whole = embed_images(Counting().model(), source, NAMES)
        with pytest.raises(type(error)):
            embed_images(Counting(2, error).model(), source, NAMES, cache, batch=2)
        rest = Counting()
        np.testing.assert_array_equal(embed_images(rest.model(), source, NAMES, cache, 2, progress), whole)
        assert rest.sizes == [2] and "4 of 6 images are in the cache" in progress.getvalue()
        again = Counting()
        np.testing.assert_array_equal(embed_images(again.model(), source, NAMES, cache, 2), whole)
        assert again.sizes == []
    assert [path.suffix for path in cache.iterdir()] == [".npz"], "a temporary file was left"


def test_the_cache_answers_only_the_same_question(folder: Path, tmp_path: Path) -> None:
    cache = tmp_path / "cache"

    def calls(names: tuple[str, ...] = NAMES, **changes: Any) -> int:
        counting = Counting()
        with open_images(folder) as source:
            embed_images(counting.model(**changes), source, names, cache)
        return len(counting.sizes)

    assert calls() == 1 and calls() == 0
    assert calls(name="other name") == 0
    assert [calls(digest="e"), calls(engine="x"), calls(size=(4, 3)), calls(channels=1), calls(NAMES[:5])] == [1] * 5
    assert calls(scaling="u / 255") == 1
    assert calls(digest="") == 1 and calls(digest="") == 1, "without a digest nothing may be kept"
    os.utime(folder / "A" / "A_0001.png", ns=(1, 1))
    assert calls() == 1, "a changed image was not embedded anew"


@pytest.mark.parametrize("damage", [b"", b"PK\x03\x04", b"nothing"])
def test_a_damaged_cache_is_said_and_replaced(folder: Path, tmp_path: Path, damage: bytes) -> None:
    with open_images(folder) as source:
        whole = embed_images(Counting().model(), source, NAMES, tmp_path)
        [file] = tmp_path.glob("*.npz")
        full = file.read_bytes()
        for broken in (damage, full[: len(full) // 2]):
            file.write_bytes(broken)
            progress = io.StringIO()
            np.testing.assert_array_equal(
                embed_images(Counting().model(), source, NAMES, tmp_path, 64, progress), whole
            )
            assert "is damaged" in progress.getvalue()
            assert file.read_bytes() == full


def test_a_cache_that_cannot_be_written_is_an_error(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with open_images(folder) as source, pytest.raises(McugenError, match="cannot keep the embeddings"):
        embed_images(Counting().model(), source, NAMES, tmp_path / "file" / "cache")


def test_a_failed_replacement_leaves_no_temporary_file(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(source: str, target: Path) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(os, "replace", full)
    with open_images(folder) as source, pytest.raises(McugenError, match="disk full"):
        embed_images(Counting().model(), source, NAMES, tmp_path / "cache")
    assert list((tmp_path / "cache").iterdir()) == []


def test_bad_embeddings_name_model_and_image(folder: Path) -> None:
    def nan_for_b2(pixels: np.ndarray) -> np.ndarray:
        return np.where(np.arange(len(pixels))[:, None] == 4, np.nan, 1.0) * np.ones((1, 5), np.float32)

    widths = iter((5, 4))
    with open_images(folder) as source:
        with pytest.raises(McugenError, match="host: m: the embedding of B/B_0002 has NaN"):
            embed_images(Counting().model(embed=nan_for_b2), source, NAMES)
        with pytest.raises(McugenError, match="for 6 images"):
            embed_images(Counting().model(embed=lambda pixels: np.ones(5)), source, NAMES)
        with pytest.raises(McugenError, match=r"lengths \[4, 5\]"):
            varied = Counting().model(embed=lambda pixels: np.ones((len(pixels), next(widths)), np.float32))
            embed_images(varied, source, NAMES, None, batch=3)


def test_progress_is_rewritten_on_a_terminal(folder: Path) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    screen = Terminal()
    with open_images(folder) as source:
        embed_images(Counting().model(), source, NAMES, None, 2, screen)
    assert "\rhost: m: 6/6 images" in screen.getvalue() and screen.getvalue().endswith("\n")
