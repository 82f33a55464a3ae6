"""The client against the C protocol compiled natively: everything that can go wrong between the two."""

from __future__ import annotations

import struct
import time

import pytest
from images import DIGEST
from native_port import Canned, Disturbed, NativePort, Silent, closes_after, noise

from mcugen.engines.serial import SerialPort
from mcugen.errors import McugenError
from mcugen.protocol.client import Device
from mcugen.protocol.frames import Frame, FrameReader, cobs_decode, encode
from mcugen.protocol.messages import Code, Type

X = bytes(range(8))
Y = bytes(range(2, 10))


@pytest.fixture
def port(tmp_path_factory: pytest.TempPathFactory) -> NativePort:
    return NativePort(tmp_path_factory.getbasetemp())


def ask(port: NativePort, *frames: bytes) -> list[Frame]:
    for frame in frames:
        port.write(frame)
    return FrameReader().feed(port.read(1 << 20, 0))


def code_of(frame: Frame) -> int:
    assert frame.type == Type.ERROR
    return frame.payload[0]


def test_infer_and_trace(port: NativePort) -> None:
    device = Device(port, digest=DIGEST)
    assert device.infer([X]).outputs == [Y]
    result, steps = device.trace([X])
    assert result.outputs == [Y]
    assert [(step.name, step.cycles) for step in steps] == [("one", 10), ("two", 10)]
    hello = device.hello()
    assert (hello.model, hello.board, hello.n_steps, hello.fault) == ("tiny", "native", 2, None)
    (tensor,) = device.inputs()
    assert (tensor.name, tensor.kind, tensor.bits, tensor.shape, tensor.scale) == ("x", "uint", 8, (8,), 0.5)


def test_silence_ends_in_time() -> None:
    started = time.monotonic()
    with pytest.raises(McugenError, match="no answer to HELLO after 4 tries; check that the firmware is flashed"):
        Device(Silent(), timeout=0.01).hello()
    assert time.monotonic() - started < 1


@pytest.mark.parametrize("reads", range(6))
def test_port_closes_half_way(port: NativePort, reads: int) -> None:
    device = Device(Disturbed(port, incoming=closes_after(reads)))
    with pytest.raises(McugenError, match="the connection was lost"):
        for _ in range(3):
            device.infer([X])


def test_absent_port() -> None:
    with pytest.raises(McugenError, match="/dev/tty-no-such-port: cannot be opened"):
        SerialPort("/dev/tty-no-such-port", 921600)
    with pytest.raises(McugenError, match="cannot be opened"):
        SerialPort("nonsense://x", 921600)


@pytest.mark.parametrize("seed", range(20))
def test_noise_both_ways_never_gives_a_wrong_answer(port: NativePort, seed: int) -> None:
    device = Device(Disturbed(port, noise(seed, 0.002), noise(seed + 100, 0.002)), digest=DIGEST, timeout=0.01)
    try:
        assert device.infer([X]).outputs == [Y]
    except McugenError as error:
        assert "INFER" in str(error) or "no answer" in str(error)


@pytest.mark.parametrize("lost", range(1, 9))
def test_any_one_lost_request_is_repeated(port: NativePort, lost: int) -> None:
    device = Device(Disturbed(port, lambda data, call: b"" if call == lost else data))
    assert device.infer([X]).outputs == [Y]


@pytest.mark.parametrize("lost", range(1, 9))
def test_any_one_lost_reply_is_repeated(port: NativePort, lost: int) -> None:
    """The inference overwrites its own input: only a device that remembers its answer can repeat it."""
    device = Device(Disturbed(port, incoming=lambda data, call: b"" if call == lost else data))
    assert device.infer([X]).outputs == [Y]


@pytest.mark.parametrize("keep", range(0, 12))
def test_half_a_frame_does_not_spoil_the_next(port: NativePort, keep: int) -> None:
    device = Device(Disturbed(port, lambda data, call: data[:keep] if call == 1 else data))
    assert device.infer([X]).outputs == [Y]


def test_wrong_crc_is_answered_with_sequence_zero(port: NativePort) -> None:
    data = bytearray(encode(Frame(Type.HELLO, 9)))
    data[2] ^= 2
    (reply,) = ask(port, bytes(data))
    assert (reply.sequence, code_of(reply)) == (0, Code.CRC)


def test_too_long_a_frame_is_answered(port: NativePort) -> None:
    (reply,) = ask(port, encode(Frame(Type.WRITE, 9, b"\x01" * 5000)))
    assert (reply.sequence, code_of(reply)) == (0, Code.LENGTH)
    assert ask(port, encode(Frame(Type.HELLO, 10)))[0].sequence == 10


def test_short_and_empty_frames_are_ignored(port: NativePort) -> None:
    assert ask(port, b"\0\0\0", b"\x01\0", b"\x03\x01\x02\0", b"\xff\xff\0") == []


@pytest.mark.parametrize(
    ("frame", "code"),
    [
        (Frame(77, 1), Code.TYPE),
        (Frame(Type.HELLO, 1, version=2), Code.VERSION),
        (Frame(Type.DESCRIBE, 1, b"\0"), Code.LENGTH),
        (Frame(Type.DESCRIBE, 1, struct.pack("<BI", 0, 1)), Code.RANGE),
        (Frame(Type.DESCRIBE, 1, struct.pack("<BI", 3, 0)), Code.RANGE),
        (Frame(Type.WRITE, 1, b"\0"), Code.LENGTH),
        (Frame(Type.WRITE, 1, struct.pack("<HI", 1, 0) + X), Code.RANGE),
        (Frame(Type.WRITE, 1, struct.pack("<HI", 0, 1) + X), Code.RANGE),
        (Frame(Type.WRITE, 1, struct.pack("<HI", 0, 2**32 - 4) + X), Code.RANGE),
        (Frame(Type.READ, 1, b""), Code.LENGTH),
        (Frame(Type.READ, 1, struct.pack("<BIIH", 0, 0, 0, 9)), Code.RANGE),
        (Frame(Type.READ, 1, struct.pack("<BIIH", 0, 0, 2**32 - 1, 2)), Code.RANGE),
        (Frame(Type.READ, 1, struct.pack("<BIIH", 0, 2**31, 0, 2)), Code.RANGE),
        (Frame(Type.READ, 1, struct.pack("<BIIH", 1, 0, 0, 8)), Code.NOT_READY),
        (Frame(Type.READ, 1, struct.pack("<BIIH", 2, 0, 0, 8)), Code.NOT_READY),
        (Frame(Type.STEPS, 1, b""), Code.LENGTH),
        (Frame(Type.STEPS, 1, struct.pack("<I", 0)), Code.NOT_READY),
        (Frame(Type.STEPS, 1, struct.pack("<I", 3)), Code.RANGE),
        (Frame(Type.INFER, 1, b""), Code.LENGTH),
        (Frame(Type.INFER, 1, bytes(16) + struct.pack("<IBI", 0, 0, 2**32 - 1)), Code.DIGEST),
        (Frame(Type.INFER, 1, DIGEST + struct.pack("<IBI", 0, 0, 2**32 - 1)), Code.INPUTS),
        (Frame(Type.INFER, 1, DIGEST + struct.pack("<IBI", 0, 0, 2)), Code.RANGE),
    ],
)
def test_hostile_requests_get_an_error_code(port: NativePort, frame: Frame, code: Code) -> None:
    (reply,) = ask(port, encode(frame))
    assert (code_of(reply), reply.sequence) == (code, 1)
    assert ask(port, encode(Frame(Type.HELLO, 2)))[0].type == Type.HELLO | 0x80


def test_wrong_digest(port: NativePort) -> None:
    with pytest.raises(McugenError, match=r"runs model tiny with digest 0102.*; flash the firmware built from this model"):
        Device(port, digest=bytes(16)).hello()


def test_old_protocol(port: NativePort) -> None:
    old = Canned(lambda request: encode(Frame(0x81, 1, b"", version=0)))
    with pytest.raises(McugenError, match="speaks protocol version 0, this mcugen version 1; flash firmware"):
        Device(old).hello()

    def as_version_2(data: bytes, call: int) -> bytes:
        frame = cobs_decode(data.strip(b"\0"))
        return encode(Frame(frame[1], int.from_bytes(frame[2:4], "little"), frame[4:-4], version=2))

    with pytest.raises(McugenError, match="speaks protocol version 1"):
        Device(Disturbed(port, as_version_2)).hello()


def test_nonsense_replies_are_refused() -> None:
    def echo(request: bytes) -> bytes:
        frame = cobs_decode(request.strip(b"\0"))
        return encode(Frame(frame[1] | 0x80, int.from_bytes(frame[2:4], "little"), b"\x01\x02"))

    with pytest.raises(McugenError, match="HELLO is cut; flash firmware built by this mcugen"):
        Device(Canned(echo)).hello()


def test_endless_chatter_ends_in_time() -> None:
    class Chatter(Silent):
        def read(self, size: int, timeout: float) -> bytes:
            return encode(Frame(0x81, 0, b"chatter"))

    started = time.monotonic()
    with pytest.raises(McugenError, match="no answer to HELLO"):
        Device(Chatter(), timeout=0.02).hello()
    assert time.monotonic() - started < 2


def test_wrong_input_sizes(port: NativePort) -> None:
    for inputs in ([], [X[:7]], [X, X]):
        with pytest.raises(McugenError, match="takes inputs of \\[8\\] bytes, not"):
            Device(port).infer(inputs)


def test_second_client_between_write_and_infer(port: NativePort) -> None:
    """Inputs that change under the client are noticed by their CRC."""
    other = encode(Frame(Type.WRITE, 3, struct.pack("<HI", 0, 0) + bytes(8)))

    def intrude(data: bytes, call: int) -> bytes:
        frame = cobs_decode(data.strip(b"\0"))
        return other + data if frame[1] == Type.INFER else data

    with pytest.raises(McugenError, match=r"refuses INFER \(INPUTS.*second program"):
        Device(Disturbed(port, intrude)).infer([X])
