"""Flashing by copying to the ST-LINK's volume; a thread plays the ST-LINK."""

from __future__ import annotations

import errno
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from flash_stubs import IMAGE, SERIAL, Stubs, make_folder

from mcugen import flashing
from mcugen.errors import CheckFailed, McugenError
from mcugen.flashing import flash_folder, volume

TARGET = "NODE_H743ZI2"


@pytest.fixture
def media(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A place for volumes; no tool is installed."""
    Stubs(tmp_path / "bin", monkeypatch)
    monkeypatch.setattr(flashing, "list_probes", lambda: [])
    monkeypatch.setattr(volume, "PARENTS", (str(tmp_path / "media" / "*"),))
    monkeypatch.setattr(os.path, "ismount", lambda path: Path(path).is_dir() and not (Path(path) / "unmounted").exists())
    monkeypatch.setattr(volume, "POLL_S", 0.02)
    monkeypatch.setattr(volume, "SETTLE_S", 0.2)
    (tmp_path / "media" / "me" / TARGET).mkdir(parents=True)
    (tmp_path / "media" / "me" / TARGET / "MBED.HTM").write_text("")
    return tmp_path / "media" / "me"


def play(board: Path, then: Callable[[Path], None]) -> threading.Thread:
    """Waits for the whole image, takes the volume away, and lets `then` bring it back."""

    def act() -> None:
        image, end = board / "firmware.bin", time.monotonic() + 5
        while not (image.exists() and image.read_bytes() == IMAGE) and time.monotonic() < end:
            time.sleep(0.01)
        image.rename(board.parent / "taken.bin")
        (board / "MBED.HTM").unlink()
        board.rmdir()
        time.sleep(0.1)
        then(board)

    thread = threading.Thread(target=act)
    thread.start()
    return thread


def test_success(tmp_path: Path, media: Path) -> None:
    player = play(media / TARGET, Path.mkdir)
    done = flash_folder(make_folder(tmp_path / "f"))
    player.join()
    assert done.startswith(f"mass-storage: copied 2,048 bytes to {media / TARGET}, and the ST-LINK reports no failure")
    assert "mcugen test" in done and (media / "taken.bin").read_bytes() == IMAGE


def test_fail_txt_is_quoted(tmp_path: Path, media: Path) -> None:
    def fail(board: Path) -> None:
        board.mkdir()
        (board / "FAIL.TXT").write_text("The interface firmware FAILED to reset/halt the target MCU\r\n")

    player = play(media / TARGET, fail)
    said = "The interface firmware FAILED to reset/halt the target MCU"
    with pytest.raises(CheckFailed, match=f"FAIL.TXT says `{said}`; keep the reset"):
        flash_folder(make_folder(tmp_path / "f"), "mass-storage")
    player.join()


def test_an_old_fail_txt_does_not_count_until_the_volume_is_back(tmp_path: Path, media: Path) -> None:
    (media / TARGET / "FAIL.TXT").write_text("old")
    with pytest.raises(CheckFailed, match=r"still lies on .* after 1 s"):
        flash_folder(make_folder(tmp_path / "f"), timeout=1)
    (media / TARGET / "FAIL.TXT").write_text("new")
    (media / TARGET / "firmware.bin").unlink()
    with pytest.raises(CheckFailed, match="still lies on"):
        flash_folder(make_folder(tmp_path / "f"), timeout=0.3)


def test_a_volume_that_stays_away_proves_nothing(tmp_path: Path, media: Path) -> None:
    player = play(media / TARGET, lambda board: None)
    with pytest.raises(CheckFailed, match="did not come back within 1 s, so it is not known whether"):
        flash_folder(make_folder(tmp_path / "f"), timeout=1)
    player.join()


def test_a_full_volume(tmp_path: Path, media: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> object:
        raise OSError(errno.ENOSPC, "No space left on device")

    (media / TARGET / "FAIL.TXT").write_text("broken")
    monkeypatch.setattr(volume, "open", full, raising=False)
    with pytest.raises(CheckFailed, match=r"cannot be written: No space left on device .its FAIL.TXT says `broken`."):
        flash_folder(make_folder(tmp_path / "f"))


def test_which_volume(tmp_path: Path, media: Path) -> None:
    folder = make_folder(tmp_path / "f")
    (media / "NODE_F429ZI").mkdir()
    assert volume.find_volumes("NOD*H743ZI*") == [media / TARGET]
    with pytest.raises(McugenError, match="no flash tool is on the PATH"):
        flash_folder(folder, None, SERIAL)
    (media / "NOD_H743ZI").mkdir()
    with pytest.raises(McugenError, match=r"several volumes fit: .*NODE_H743ZI2, .*NOD_H743ZI; unplug") as caught:
        flash_folder(folder)
    assert caught.value.exit_code == 2
    for name in ("NOD_H743ZI", TARGET):
        (media / name / "unmounted").write_text("")
    with pytest.raises(CheckFailed, match="found no mounted volume") as failed:
        flash_folder(folder, "mass-storage")
    assert failed.value.exit_code == 1
