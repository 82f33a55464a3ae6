"""Hostile bytes against the C protocol under AddressSanitizer and UndefinedBehaviorSanitizer.

The same target is ready for libFuzzer, see native_device.c.
"""

from __future__ import annotations

import random
import struct
import subprocess
import zlib
from pathlib import Path

import pytest
from images import DIGEST
from native_port import SOURCES

from mcugen.protocol.frames import Frame, encode
from mcugen.protocol.messages import Type
from mcugen.toolchain import compile_native

RECORDS = 20_000


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("fuzz") / "device"
    return compile_native(SOURCES, [], out, sanitize=True, opt=("-O1",))


def request(generator: random.Random) -> bytes:
    """A frame that is whole but need not make sense."""
    extremes = (0, 1, 2, 7, 8, 9, 1023, 1024, 1025, 2**31, 2**32 - 8, 2**32 - 1)

    def number() -> int:
        return generator.choice(extremes)

    payloads = (
        lambda: b"",
        lambda: struct.pack("<BI", number() & 255, number()),
        lambda: struct.pack("<HI", number() & 3, number()) + generator.randbytes(generator.randrange(1030)),
        lambda: DIGEST + struct.pack("<IBI", generator.choice((zlib.crc32(bytes(8)), number())), number() & 1, number()),
        lambda: struct.pack("<BIIH", number() & 3, number(), number(), number() & 0xFFFF),
        lambda: struct.pack("<I", number()),
        lambda: generator.randbytes(generator.randrange(2000)),
    )
    kind = generator.choice((*Type, 0, 99))
    payload = payloads[generator.choice((kind - 1, 6)) if 1 <= kind <= 6 else 6]()
    return encode(Frame(kind, generator.randrange(4), payload, version=generator.choice((1, 1, 1, 1, 1, 2))))


def mutate(generator: random.Random, data: bytes) -> bytes:
    """Cut, doubled, changed, or left alone."""
    how = generator.randrange(6)
    if how == 0:
        return data[: generator.randrange(len(data))]
    if how == 1:
        return data + data
    if how == 2:
        changed = bytearray(data)
        for _ in range(generator.randrange(1, 4)):
            changed[generator.randrange(len(changed))] = generator.choice((0, 1, 255, generator.randrange(256)))
        return bytes(changed)
    return data


def test_twenty_thousand_hostile_conversations(target: Path) -> None:
    generator = random.Random(743)
    records = []
    for _ in range(RECORDS):
        data = b"".join(mutate(generator, request(generator)) for _ in range(generator.randrange(1, 6)))
        records.append(struct.pack("<I", len(data)) + data)
    done = subprocess.run([str(target)], input=b"".join(records), capture_output=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr.decode(errors="replace")[-2000:]
