"""What can happen to a frame on its way: damage, another client's frames, another firmware's answers."""

from __future__ import annotations

import random
import struct
import zlib

from mcugen.protocol.frames import BrokenFrame, Frame, decode, encode
from mcugen.protocol.messages import NO_STEP, REPLY, Set, Type


class Frames:
    """Cuts bytes behind their zeros."""

    def __init__(self) -> None:
        self._buffer = b""

    def feed(self, data: bytes) -> list[bytes]:
        """The frames that `data` ends, each with its zero."""
        *whole, self._buffer = (self._buffer + data).split(b"\0")
        return [part + b"\0" for part in whole]

    def rest(self) -> bytes:
        """What came after the last zero, given away."""
        rest, self._buffer = self._buffer, b""
        return rest


def spoil_bytes(kind: str, frame: bytes, rng: random.Random) -> bytes:
    """`frame` damaged as one of `faulty.BYTES` says."""
    data = bytearray(frame)
    if kind == "drop":
        return b""
    if kind == "flip":
        for bit in rng.sample(range(8 * len(data)), rng.randrange(1, 4)):
            data[bit // 8] ^= 1 << bit % 8
    elif kind == "cut":
        start = rng.randrange(len(data))
        del data[start : start + rng.randrange(1, len(data) + 1)]
    elif kind == "noise":
        at = rng.randrange(len(data) + 1)
        data[at:at] = rng.randbytes(rng.choice((1, 2, 7, 40, 3000)))
    else:  # another baud rate: other bytes, and another number of them
        data = bytearray(rng.choice((0x00, 0x80, 0xF8, 0xFF, rng.randrange(256))) for _ in range(rng.randrange(1, 2 * len(data))))
    return bytes(data)


def other_client(frame: bytes, rng: random.Random) -> bytes:
    """Requests of a second program: half of them with the very sequence of `frame`."""
    sequence = rng.randrange(1, 1 << 16)
    try:
        if rng.random() < 0.5:
            sequence = decode(frame[:-1]).sequence
    except BrokenFrame:
        pass
    digest, data = bytes(range(1, 17)), rng.randbytes(8)
    write = encode(Frame(Type.WRITE, sequence, struct.pack("<HI", 0, 0) + data))
    stop = rng.choice((NO_STEP, NO_STEP, 0, 1))
    infer = encode(Frame(Type.INFER, sequence, digest + struct.pack("<IBI", zlib.crc32(data), rng.randrange(2), stop)))
    read = encode(Frame(Type.READ, sequence, struct.pack("<BIIH", rng.choice(list(Set)), 0, 0, 8)))
    hello = encode(Frame(Type.HELLO, sequence))
    steps = encode(Frame(Type.STEPS, sequence, struct.pack("<I", 0)))
    return b"".join(rng.choice(([write], [write, infer], [write, infer, read], [hello], [read], [steps], [infer])))


def answer_wrongly(kind: str, frame: bytes, rng: random.Random) -> bytes:
    """A reply as an old or another firmware would give it: whole, with the right sequence."""
    try:
        reply = decode(frame[:-1])
    except BrokenFrame:
        return frame
    kind_, payload, version = reply.type, bytearray(reply.payload), reply.version
    if kind == "old firmware":
        version = rng.choice((0, 2, 255))
    elif reply.type == Type.HELLO | REPLY and rng.random() < 0.5:
        payload[4 + rng.randrange(16)] ^= 0xFF  # the digest
    elif rng.random() < 0.4:
        kind_, payload = Type.ERROR, bytearray(struct.pack("<BBI", rng.randrange(256), reply.type & 0x7F, rng.randrange(1 << 32)))
    elif payload and rng.random() < 0.7:
        del payload[rng.randrange(len(payload)) :]
    else:
        payload += bytes(rng.randrange(1, 9))
    return encode(Frame(kind_, reply.sequence, bytes(payload), version))
