"""Frames: the Python and C twins of COBS, CRC-32 and the link layer agree, and noise never passes for a message."""

from __future__ import annotations

import ctypes
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcugen.protocol.frames import BrokenFrame, Frame, FrameReader, cobs_decode, cobs_encode, decode, encode
from mcugen.resources import data_dir
from mcugen.toolchain import compile_native

PUT = ctypes.CFUNCTYPE(None, ctypes.c_uint8)
FRAMES = st.builds(Frame, st.integers(0, 255), st.integers(0, 65535), st.binary(max_size=1200))


class Writer(ctypes.Structure):
    _fields_ = (("put", PUT), ("count", ctypes.c_uint8), ("block", ctypes.c_uint8 * 254))


class Reader(ctypes.Structure):
    _fields_ = (
        ("buffer", ctypes.c_char_p),
        ("capacity", ctypes.c_uint32),
        ("length", ctypes.c_uint32),
        ("code", ctypes.c_uint8),
        ("left", ctypes.c_uint8),
    )


@pytest.fixture(scope="session")
def twin(tmp_path_factory: pytest.TempPathFactory) -> ctypes.CDLL:
    firmware = data_dir("firmware")
    out = tmp_path_factory.mktemp("twin") / "twin.so"
    library = ctypes.CDLL(str(compile_native([firmware / "cobs.c", firmware / "crc32.c"], [], out, shared=True)))
    library.mcu_crc32.restype = ctypes.c_uint32
    library.cobs_read.restype = library.cobs_whole.restype = ctypes.c_bool
    return library


def c_encode(twin: ctypes.CDLL, data: bytes) -> bytes:
    out = bytearray()
    writer = Writer(PUT(out.append))
    for byte in data:
        twin.cobs_write(ctypes.byref(writer), byte)
    twin.cobs_write_end(ctypes.byref(writer))
    return bytes(out)


def c_decode(twin: ctypes.CDLL, data: bytes, capacity: int = 4096) -> bytes | None:
    buffer = ctypes.create_string_buffer(capacity)
    reader = Reader(ctypes.cast(buffer, ctypes.c_char_p), capacity)
    twin.cobs_read_start(ctypes.byref(reader))
    for byte in data:
        assert not twin.cobs_read(ctypes.byref(reader), byte)
    assert twin.cobs_read(ctypes.byref(reader), 0)
    return buffer.raw[: reader.length] if twin.cobs_whole(ctypes.byref(reader)) else None


def blocks() -> st.SearchStrategy[bytes]:
    """Runs of non-zero bytes around the block length of 254, and zeros."""
    run = st.integers(250, 260).map(lambda n: b"\x07" * n)
    return st.lists(st.one_of(run, st.just(b"\0"), st.binary(max_size=6))).map(b"".join)


@given(blocks())
def test_cobs_comes_back(data: bytes) -> None:
    stuffed = cobs_encode(data)
    assert 0 not in stuffed
    assert len(stuffed) <= len(data) + len(data) // 254 + 1
    assert cobs_decode(stuffed) == data


@given(data=blocks())
def test_cobs_twins_agree(twin: ctypes.CDLL, data: bytes) -> None:
    stuffed = cobs_encode(data)
    assert c_encode(twin, data) == stuffed + b"\0"
    assert c_decode(twin, stuffed) == data


@given(data=st.binary(max_size=600).map(lambda data: data.replace(b"\0", b"\1")))
def test_cobs_twins_refuse_alike(twin: ctypes.CDLL, data: bytes) -> None:
    try:
        expected: bytes | None = cobs_decode(data)
    except BrokenFrame:
        expected = None
    assert c_decode(twin, data) == expected


@given(length=st.integers(0, 40), capacity=st.integers(0, 40))
def test_c_decoder_keeps_to_its_buffer(twin: ctypes.CDLL, length: int, capacity: int) -> None:
    data = b"\x05" * length
    assert c_decode(twin, cobs_encode(data), capacity) == (data if length <= capacity else None)


@given(data=st.binary(max_size=300), start=st.integers(0, 2**32 - 1))
def test_crc_twins_agree(twin: ctypes.CDLL, data: bytes, start: int) -> None:
    assert twin.mcu_crc32(ctypes.c_uint32(start), data, ctypes.c_size_t(len(data))) == zlib.crc32(data, start)


@given(FRAMES)
def test_frames_come_back(frame: Frame) -> None:
    data = encode(frame)
    assert data.index(0) == len(data) - 1
    assert decode(data[:-1]) == frame


@given(FRAMES, st.data())
def test_one_changed_bit_breaks_a_frame(frame: Frame, data: st.DataObject) -> None:
    sent = bytearray(encode(frame)[:-1])
    at = data.draw(st.integers(0, len(sent) - 1))
    sent[at] ^= 1 << data.draw(st.integers(0, 7))
    reader = FrameReader()
    assert reader.feed(bytes(sent) + b"\0") == []
    assert reader.broken >= 1


@given(st.lists(FRAMES, max_size=4), st.integers(1, 50), st.binary(max_size=20))
def test_reader_finds_frames_however_they_are_cut(frames: list[Frame], size: int, noise: bytes) -> None:
    stream = noise + b"\0" + b"".join(map(encode, frames))
    reader = FrameReader()
    found = [frame for at in range(0, len(stream), size) for frame in reader.feed(stream[at : at + size])]
    assert found == frames


def test_reader_forgets_endless_frames() -> None:
    reader = FrameReader()
    for _ in range(100):
        assert reader.feed(b"\x01" * 1000) == []
    assert len(reader._buffer) <= FrameReader.LIMIT
    assert reader.broken > 0
    reader.feed(b"\0")
    assert reader.feed(encode(Frame(1, 2))) == [Frame(1, 2)]


@pytest.mark.parametrize("data", [b"", b"\x01", b"\x02\x01\x02", cobs_encode(bytes(7))])
def test_short_frames_are_broken(data: bytes) -> None:
    with pytest.raises(BrokenFrame):
        decode(data)


def test_twins_name_the_same_sizes() -> None:
    from mcugen.protocol import frames

    text = (data_dir("firmware") / "link.h").read_text()
    assert f"#define MCU_PROTOCOL_VERSION {frames.PROTOCOL_VERSION}u" in text
    assert f"#define MCU_CHUNK {frames.CHUNK}u" in text
