"""Frames on the wire, twin of firmware/link.c and cobs.c: COBS(version, type, sequence, payload, CRC-32) and a zero."""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass

PROTOCOL_VERSION = 1
CHUNK = 1024
"""Most data bytes in one frame."""
MAX_FRAME = 4 + 6 + CHUNK + 4
"""Longest request before stuffing; replies are no longer than 4 + 4 + CHUNK + 4."""

_HEADER = struct.Struct("<BBH")


@dataclass(frozen=True)
class Frame:
    """One message: `sequence` 0 to 65535 (0: answer to a broken frame)."""

    type: int
    sequence: int
    payload: bytes = b""
    version: int = PROTOCOL_VERSION


class BrokenFrame(ValueError):
    """A frame that noise has changed or cut; the message says how."""


def cobs_encode(data: bytes) -> bytes:
    """`data` without zeros: each block of up to 254 non-zero bytes behind its length plus one; no final zero."""
    out = bytearray()
    runs = data.split(b"\0")
    for index, run in enumerate(runs):
        while len(run) > 254 or (len(run) == 254 and index < len(runs) - 1):
            out += b"\xff" + run[:254]
            run = run[254:]
        out += bytes([len(run) + 1]) + run
    return bytes(out)


def cobs_decode(data: bytes) -> bytes:
    """Inverse of `cobs_encode`.

    Raises:
        BrokenFrame: a zero inside, or the last block is cut.
    """
    out = bytearray()
    at, code = 0, 0
    while at < len(data):
        if code not in (0, 255):
            out.append(0)
        code = data[at]
        block = data[at + 1 : at + code]
        if code == 0 or 0 in block or len(block) != code - 1:
            raise BrokenFrame(f"the block at byte {at} is cut")
        out += block
        at += code
    return bytes(out)


def encode(frame: Frame) -> bytes:
    """The bytes to send, the final zero included."""
    body = _HEADER.pack(frame.version, frame.type, frame.sequence) + frame.payload
    return cobs_encode(body + struct.pack("<I", zlib.crc32(body))) + b"\0"


def decode(data: bytes) -> Frame:
    """A received frame without its final zero; versions are for the caller to judge.

    Raises:
        BrokenFrame: too short, cut, or its CRC differs.
    """
    body = cobs_decode(data)
    if len(body) < _HEADER.size + 4:
        raise BrokenFrame(f"{len(body)} bytes are no frame")
    if zlib.crc32(body[:-4]) != struct.unpack("<I", body[-4:])[0]:
        raise BrokenFrame("the CRC differs")
    version, kind, sequence = _HEADER.unpack_from(body)
    return Frame(kind, sequence, body[_HEADER.size : -4], version)


class FrameReader:
    """Cuts received bytes into frames. Broken ones are dropped and counted; memory stays bounded."""

    LIMIT = 4 * MAX_FRAME

    def __init__(self) -> None:
        self._buffer = bytearray()
        self.broken = 0

    def feed(self, data: bytes) -> list[Frame]:
        """The frames that `data` completes."""
        self._buffer += data
        *parts, rest = self._buffer.split(b"\0")
        if len(rest) > self.LIMIT:
            rest = rest[:0]
            self.broken += 1
        self._buffer = bytearray(rest)
        frames = []
        for part in parts:
            try:
                if part:
                    frames.append(decode(bytes(part)))
            except BrokenFrame:
                self.broken += 1
        return frames
