"""Lines that lie around the simulated board: a small campaign of every kind of fault, streams, and the instruments themselves."""

from __future__ import annotations

import struct

import faults
import pytest
from images import DIGEST, Images

from mcugen.engines.faulty import KINDS, FaultyPort
from mcugen.engines.spoil import answer_wrongly, spoil_bytes
from mcugen.errors import McugenError
from mcugen.protocol.client import ATTEMPT_FACTOR, Device
from mcugen.protocol.frames import BrokenFrame, Frame, decode, encode
from mcugen.protocol.messages import REPLY, Code, Type

X = bytes(range(8))
Y = bytes(range(2, 10))


@pytest.fixture
def bench(images: Images) -> faults.Bench:
    return faults.Bench(images.build("nucleo-h743zi", "gcc"), 3, DIGEST)


def test_three_hundred_faulty_exchanges(images: Images) -> None:
    totals = faults.campaign(images.build("nucleo-h743zi", "gcc"), 308, seed=1)
    assert totals.good, totals.table()
    assert totals.exchanges.total() == 308 and all(totals.faults[kind] > 5 for kind in KINDS)
    assert totals.retried.total() > 50 and totals.refused.total() > 30
    assert totals.longest_s < faults.LIMIT_S


def test_a_damaged_stream_arrives_whole(images: Images) -> None:
    line = faults.stream_tiny(images.build("nucleo-h743zi", "gcc"), 150, seed=2)
    assert "all right, none lost, none doubled" in line and " 0 requests" not in line


def test_the_face_network_on_a_damaged_line() -> None:
    assert "all right, none lost, none doubled" in faults.stream_faces(2, seed=4)


def test_the_campaign_notices_wrong_results_and_silence(images: Images, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the checks of the outputs' and the inputs' CRC, a second client's results are taken for one's own."""
    monkeypatch.setattr(Device, "_check", lambda self, data, result: None)
    monkeypatch.setattr(faults, "KINDS", ("second client",))
    totals = faults.campaign(images.build("nucleo-h743zi", "gcc"), 120, seed=1)
    assert totals.wrong.total() > 0 and not totals.good
    monkeypatch.setattr(faults, "LIMIT_S", 0.0)
    assert faults.campaign(images.build("nucleo-h743zi", "gcc"), 5, seed=1).hangs.total() == 5


def test_a_lost_request_is_repeated_and_counted(bench: faults.Bench) -> None:
    device = bench.device()
    device.hello()
    bench.port.arm("drop", share=0.2)
    assert [device.infer([X]).outputs for _ in range(5)] == [[Y]] * 5
    assert 0 < device.resent < 60


def test_a_dead_line_ends_within_the_stated_limit(bench: faults.Bench) -> None:
    bench.port.arm("drop")
    with pytest.raises(McugenError, match="no answer to HELLO after 4 tries"):
        bench.device().hello()
    assert ATTEMPT_FACTOR * faults.TIMEOUT_S <= bench.port.clock() < ATTEMPT_FACTOR * faults.TIMEOUT_S + 0.1


def test_a_reset_in_mid_inference_is_told(bench: faults.Bench) -> None:
    device = bench.device()
    assert device.hello().boots == 1
    bench._reset(True)
    with pytest.raises(McugenError, match=r"the device was reset \(software\); check its supply"):
        device.infer([X])
    assert device.infer([X]).outputs == [Y] and device.hello().boots == 2


def test_a_pulled_cable(bench: faults.Bench) -> None:
    device = bench.device()
    bench.port.arm("disconnect")
    for _ in range(2):
        with pytest.raises(McugenError, match="the connection was lost"):
            device.infer([X])
    bench.calm()
    assert device.infer([X]).outputs == [Y]


@pytest.mark.parametrize("at", range(1, 7))
def test_ctrl_c_anywhere_leaves_the_device_usable(bench: faults.Bench, monkeypatch: pytest.MonkeyPatch, at: int) -> None:
    """Half a request is on the line when the user gives up; the next program finds the device as good as new."""
    write, calls = FaultyPort.write, iter(range(1, 100))

    def interrupted(port: FaultyPort, data: bytes) -> None:
        half = next(calls) == at
        write(port, data[: len(data) // 2] if half else data)
        if half:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(FaultyPort, "write", interrupted)
        with pytest.raises(KeyboardInterrupt):
            bench.device().infer([X])
    device = bench.device()
    assert device.infer([X]).outputs == [Y] and device.hello().boots == 1


class Clash:
    """Puts a second client's inference of other inputs, with the same sequence, before one's own."""

    name = "clash"

    def __init__(self, inner: FaultyPort) -> None:
        self._inner = inner

    def write(self, data: bytes) -> None:
        frame = decode(data.strip(b"\0"))
        if frame.type == Type.INFER:
            other = bytes(8)
            payload = DIGEST + struct.pack("<I", 0x6522DF69) + frame.payload[20:]  # CRC-32 of eight zeros
            self._inner.write(encode(Frame(Type.WRITE, 0x5555, struct.pack("<HI", 0, 0) + other)))
            self._inner.write(encode(Frame(Type.INFER, frame.sequence, payload)))
            return
        self._inner.write(data)

    def read(self, size: int, timeout: float) -> bytes:
        return self._inner.read(size, timeout)

    def close(self) -> None:
        self._inner.close()


def test_another_clients_result_with_the_same_sequence_is_refused(bench: faults.Bench) -> None:
    device = Device(Clash(bench.port), digest=DIGEST, clock=bench.port.clock)
    with pytest.raises(McugenError, match="answers INFER with the result of other inputs; look for a second program"):
        device.infer([X])


class Refuses:
    """Answers the first `count` WRITEs with an error, as a reply that waited for an earlier client would."""

    name = "stale"

    def __init__(self, inner: FaultyPort, count: int) -> None:
        self._inner, self._left, self._ready = inner, count, b""

    def write(self, data: bytes) -> None:
        frame = decode(data.strip(b"\0"))
        if frame.type == Type.WRITE and self._left:
            self._left -= 1
            self._ready = encode(Frame(Type.ERROR, frame.sequence, struct.pack("<BBI", Code.RANGE, Type.WRITE, 8)))
        self._inner.write(data)

    def read(self, size: int, timeout: float) -> bytes:
        data, self._ready = self._ready, b""
        return data or self._inner.read(size, timeout)

    def close(self) -> None:
        self._inner.close()


def test_a_stale_refusal_of_a_write_is_outlived(bench: faults.Bench) -> None:
    device = Device(Refuses(bench.port, 2), digest=DIGEST, clock=bench.port.clock)
    assert device.infer([X]).outputs == [Y] and device.resent == 2
    device = Device(Refuses(bench.port, 3), digest=DIGEST, clock=bench.port.clock)
    with pytest.raises(McugenError, match=r"the device refuses WRITE \(RANGE, detail 0x8\)"):
        device.infer([X])


def test_another_clients_steps_are_refused(bench: faults.Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    device, other = bench.device(), bench.device()
    real = Device.infer

    def infer(self: Device, inputs: list[bytes], *, trace: bool = False) -> object:
        result = real(self, inputs, trace=trace)
        real(other, [bytes(8)], trace=True)
        return result

    monkeypatch.setattr(Device, "infer", infer)
    with pytest.raises(McugenError, match="the steps read are another inference's"):
        device.trace([X])


def test_every_damage_is_damage() -> None:
    import random

    rng, frame = random.Random(0), encode(Frame(Type.READ | REPLY, 7, bytes(range(40))))
    for kind in ("flip", "baud"):
        for _ in range(200):
            spoilt = spoil_bytes(kind, frame, rng)
            for part in spoilt.split(b"\0"):
                with pytest.raises(BrokenFrame):
                    decode(part)
    versions = {decode(answer_wrongly("old firmware", frame, rng)[:-1]).version for _ in range(50)}
    assert versions == {0, 2, 255}
