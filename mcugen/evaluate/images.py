"""Images of people from a folder or a tar file, as uint8 pixels of the size a network takes.

An image's name is its last folder and its file name without the ending: `Person/Person_0001`. Pixels are RGB or grey,
turned as the EXIF orientation says, and stretched with Pillow's BILINEAR filter (antialiased when shrinking) where the
size differs; another size than the network's own should therefore have the same aspect ratio.
"""

from __future__ import annotations

import io
import tarfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePath, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mcugen.errors import McugenError

ENDINGS = frozenset({".jpg", ".jpeg", ".png", ".pgm", ".ppm", ".bmp", ".webp"})
FILTER = "BILINEAR"
_MODES = {1: "L", 3: "RGB"}
_DEEP = frozenset({"I", "F", "I;16", "I;16B", "I;16L", "I;16N"})


@dataclass(frozen=True)
class ImageFile:
    """One image: `read` gives the bytes of its file, `stamp` changes when the file does (size and time)."""

    path: str
    read: Callable[[], bytes]
    stamp: Callable[[], str]


@dataclass(frozen=True)
class ImageSource:
    """An open folder or tar file, by image name."""

    path: Path
    files: Mapping[str, ImageFile]

    def require(self, names: Sequence[str]) -> None:
        """Raise one McugenError that names the first missing image, before any work is done."""
        missing = [name for name in names if name not in self.files]
        if missing:
            more = f" (and {len(missing) - 1} more)" if len(missing) > 1 else ""
            raise McugenError(
                missing[0],
                f"no such image among the {len(self.files)} of {self.path}{more}",
                "give the folder or tar file that holds 'Person/Person_0001.jpg' of every pair",
            )

    def bytes_of(self, name: str) -> bytes:
        """The file of an image; McugenError if it is missing or cannot be read."""
        self.require([name])
        try:
            return self.files[name].read()
        except (OSError, EOFError, tarfile.TarError) as error:
            raise McugenError(self.files[name].path, f"cannot be read ({error})", "replace the file") from None


@contextmanager
def open_images(path: Path) -> Iterator[ImageSource]:
    """List the images of a folder (with subfolders) or tar file; close it afterwards.

    Raises:
        McugenError: neither a folder nor a tar file, no image in it, or two images of the same name.
    """
    if path.is_dir():
        yield ImageSource(path, _index(path, ((file, _on_disk(file)) for file in sorted(path.rglob("*")))))
        return
    try:
        archive = tarfile.open(path)  # noqa: SIM115 - closed by the `with` below
    except (OSError, EOFError, tarfile.TarError) as error:
        reason = str(error).splitlines()[0]  # tarfile lists what it tried
        raise McugenError(str(path), f"is neither a folder nor a tar file ({reason})", "give one of the two") from None
    with archive:
        try:
            members = [member for member in archive if member.isfile()]
        except (OSError, EOFError, tarfile.TarError) as error:
            raise McugenError(str(path), f"is a broken tar file ({error})", "fetch it again") from None
        entries = ((PurePosixPath(each.name), _in_archive(path, archive, each)) for each in members)
        yield ImageSource(path, _index(path, entries))


def _index(source: Path, entries: Iterator[tuple[Any, ImageFile]]) -> dict[str, ImageFile]:
    files: dict[str, ImageFile] = {}
    for path, file in entries:
        name = image_name(path)
        if path.suffix.lower() not in ENDINGS or path.name.startswith("."):
            continue
        if name in files:
            raise McugenError(file.path, f"has the same name {name} as {files[name].path}", "keep one of the two")
        files[name] = file
    if not files:
        raise McugenError(str(source), "holds no images", f"give a folder or tar file of {', '.join(sorted(ENDINGS))}")
    return files


def image_name(path: PurePath) -> str:
    """`Person/Person_0001` of `.../Person/Person_0001.jpg`."""
    return f"{path.parent.name}/{path.stem}"


def _on_disk(path: Path) -> ImageFile:
    def stamp() -> str:
        state = path.stat()
        return f"{state.st_size} {state.st_mtime_ns}"

    return ImageFile(str(path), path.read_bytes, stamp)


def _in_archive(path: Path, archive: tarfile.TarFile, member: tarfile.TarInfo) -> ImageFile:
    def read() -> bytes:
        file = archive.extractfile(member)
        data = file.read() if file else b""
        if len(data) != member.size:
            raise OSError("the tar file ends inside the image")
        return data

    return ImageFile(f"{path}: {member.name}", read, lambda: f"{member.size} {path.stat().st_mtime_ns}")


def load_images(
    source: Path | ImageSource, names: Sequence[str], size: tuple[int, int], channels: int = 3
) -> NDArray[np.uint8]:
    """Pixels (N, H, W, channels) of the named images, values 0 to 255.

    Args:
        source: folder, tar file, or one of them opened with `open_images`.
        size: (H, W) in pixels.
        channels: 3 for RGB, 1 for grey (ITU-R 601 luma).

    Raises:
        McugenError: an image that is missing or broken or has more than 8 bits a channel (named), or no Pillow.
    """
    if isinstance(source, Path):
        with open_images(source) as opened:
            return load_images(opened, names, size, channels)
    source.require(names)
    pixels = np.empty((len(names), *size, channels), np.uint8)
    for row, name in enumerate(names):
        pixels[row] = decode(source.bytes_of(name), source.files[name].path, size, channels)
    return pixels


def decode(data: bytes, place: str, size: tuple[int, int], channels: int = 3) -> NDArray[np.uint8]:
    """One image file as pixels (H, W, channels); `place` names it in errors."""
    image = pillow("Image")
    if channels not in _MODES:
        raise McugenError(place, f"cannot become an image of {channels} channels", "use a network of 1 or 3 channels")
    try:
        with image.open(io.BytesIO(data)) as opened:
            if opened.mode in _DEEP:
                raise McugenError(place, f"has pixels of mode {opened.mode}, not 8 bits", "convert it to 8-bit pixels")
            upright = pillow("ImageOps").exif_transpose(opened).convert(_MODES[channels])
    except McugenError:
        raise
    except Exception as error:  # Pillow's decoders raise OSError, SyntaxError, ValueError, struct.error and others
        raise McugenError(place, f"is not a readable image ({error})", "replace the file") from None
    if upright.size != (size[1], size[0]):
        upright = upright.resize((size[1], size[0]), image.Resampling[FILTER])
    return np.asarray(upright, np.uint8).reshape(*size, channels)


def pillow(module: str) -> Any:
    """A module of Pillow, which is installed only with `mcugen[faces]`."""
    try:
        import PIL.Image
        import PIL.ImageOps
    except ImportError:
        raise McugenError("Pillow", "is not installed, but reads the images", "pip install 'mcugen[faces]'") from None
    return getattr(PIL, module)
