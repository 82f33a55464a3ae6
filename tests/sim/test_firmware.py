"""The whole firmware around the tiny model, on every engine that runs here, built by both toolchains."""

from __future__ import annotations

import random
import zlib

import pytest
from images import DIGEST, Images

from mcugen.engines import ENGINES, open_engine
from mcugen.engines.qemu import PROGRAM
from mcugen.engines.unicorn import Simulator
from mcugen.errors import McugenError
from mcugen.protocol.client import Device
from mcugen.protocol.frames import Frame, encode
from tests.tools import need

X = bytes(range(8))
MIDDLE = bytes(range(1, 9))
Y = bytes(range(2, 10))
TOOLCHAINS = ("gcc", "zig")
FAULTS = {  # what byte 1 of an input that starts with 0xEE asks for: (words of QEMU's report, of Unicorn's)
    1: ("MemManage fault in step one .*address 0x00000000", "reads memory that is not there, address 0x00000000"),
    2: ("UsageFault in step one ", "meets an invalid instruction"),
    3: ("MemManage fault in step one ", "writes flash, address 0x08"),
    4: ("MemManage fault in step one ", "writes memory that is not there, address 0x1fff"),
    5: ("MemManage fault in step one .*address 0x70000000", "writes memory that is not there, address 0x70000000"),
}


def start(images: Images, engine: str, toolchain: str, **options: bool | float) -> Device:
    if engine == "qemu":
        need(PROGRAM)
    image = images.build(ENGINES[engine], toolchain)
    return open_engine(engine, image, digest=DIGEST, **options)  # type: ignore[arg-type]


@pytest.mark.parametrize("toolchain", TOOLCHAINS)
@pytest.mark.parametrize("engine", ["unicorn", "qemu"])
def test_inference(images: Images, engine: str, toolchain: str) -> None:
    with start(images, engine, toolchain) as device:
        hello = device.hello()
        assert (hello.model, hello.board, hello.digest) == ("tiny", ENGINES[engine], DIGEST)
        assert (hello.boots, hello.boot_timeouts, hello.rx_lost, hello.tx_timeouts, hello.fault) == (1, 0, 0, 0, None)
        assert hello.stack_bytes == 8192 and 0 < hello.stack_used < 1024
        result, steps = device.trace([X])
        assert result.outputs == [Y]
        assert 0 < result.stack_bytes < 1024
        assert [step.name for step in steps] == ["one", "two"]
        assert [step.crc for step in steps] == [zlib.crc32(MIDDLE), zlib.crc32(Y)]
        assert 0 < sum(step.cycles for step in steps) <= result.cycles
        assert device.step_output([X], 0) == MIDDLE
        assert device.step_output([X], 1) == Y
        assert device.infer([X]).outputs == [Y]
        assert device.hello().boots == 1


@pytest.mark.parametrize("toolchain", TOOLCHAINS)
def test_engines_count_the_same_instructions(images: Images, toolchain: str) -> None:
    with start(images, "unicorn", toolchain) as one, start(images, "qemu", toolchain, count=True) as other:
        assert one.counter == other.counter == "instructions"
        counts = [[device.infer([X]).cycles for _ in range(3)] for device in (one, other)]
        assert len(set(counts[0])) == 1
        assert abs(counts[0][0] - counts[1][0]) <= 8  # the counters are read at other places; QEMU's ticks are coarse


@pytest.mark.parametrize("toolchain", TOOLCHAINS)
@pytest.mark.parametrize("how", FAULTS)
def test_unicorn_names_a_fault(images: Images, toolchain: str, how: int) -> None:
    with (
        start(images, "unicorn", toolchain) as device,
        pytest.raises(McugenError, match=f"{FAULTS[how][1]}.* at 0x0800.*(run|misbehave|deeper)"),
    ):
        device.infer([bytes([0xEE, how, 0, 0, 0, 0, 0, 0])])


@pytest.mark.parametrize("toolchain", TOOLCHAINS)
@pytest.mark.parametrize("how", FAULTS)
def test_qemu_reports_a_fault_after_reset(images: Images, toolchain: str, how: int) -> None:
    with start(images, "qemu", toolchain, timeout=0.2) as device:
        device.hello()
        with pytest.raises(McugenError, match=FAULTS[how][0]):
            device.infer([bytes([0xEE, how, 0, 0, 0, 0, 0, 0])])
        hello = device.hello()
        assert hello.boots == 2 and hello.fault is not None and hello.fault.boot == 1 and hello.fault.step == 0
        assert device.infer([X]).outputs == [Y]


@pytest.mark.parametrize("how", [1, 2, 3, 4, 5])
def test_h743_reports_a_fault_after_reset(images: Images, how: int) -> None:
    image = images.build("nucleo-h743zi", "gcc")
    simulator = Simulator(image.elf, image.board, faults="deliver")
    device = Device(simulator.transport(), where=simulator.symbols.describe)
    device.hello()
    with pytest.raises(McugenError, match=r"fault|Fault"):
        device.infer([bytes([0xEE, how, 0, 0, 0, 0, 0, 0])])
    hello = device.hello()
    assert (hello.boots, hello.reset_cause) == (2, "software")
    assert hello.fault is not None and hello.fault.step == 0
    assert device.infer([X]).outputs == [Y]


def test_endless_loop_ends(images: Images) -> None:
    image = images.build("nucleo-h743zi", "gcc")
    simulator = Simulator(image.elf, image.board, max_instructions=1_000_000)
    with pytest.raises(McugenError, match=r"did not come to rest within 1000000 instructions at .*run"):
        Device(simulator.transport()).infer([bytes([0xEE, 9, 0, 0, 0, 0, 0, 0])])


def test_watchdog_is_reported(images: Images) -> None:
    image = images.build("nucleo-h743zi", "gcc")
    simulator = Simulator(image.elf, image.board, faults="deliver", watchdog_scale=0.0001)
    device = Device(simulator.transport())
    with pytest.raises(McugenError, match="watchdog reset in step one"):
        device.infer([bytes([0xEE, 9, 0, 0, 0, 0, 0, 0])])
    assert device.hello().reset_cause == "watchdog"
    assert device.infer([X]).outputs == [Y]


def test_counts_are_the_same_without_a_compiler(images: Images, monkeypatch: pytest.MonkeyPatch) -> None:
    image = images.build("nucleo-h743zi", "gcc")
    with open_engine("unicorn", image) as device:
        native = device.infer([X]).cycles
    monkeypatch.setattr("mcugen.engines.unicorn.load_plugin", lambda sources: None)
    with open_engine("unicorn", image) as device:
        assert device.infer([X]).cycles == native
    simulator = Simulator(image.elf, image.board, count=False)
    assert Device(simulator.transport()).infer([X]).outputs == [Y]


@pytest.mark.parametrize("toolchain", TOOLCHAINS)
def test_simulator_tells_of_steps(images: Images, toolchain: str) -> None:
    image = images.build("nucleo-h743zi", toolchain)
    simulator = Simulator(image.elf, image.board)
    device = Device(simulator.transport())
    device.infer([X])
    steps: list[tuple[int, int]] = []
    simulator.on_function("after_step", lambda step: steps.append((step, simulator.instructions)))
    device.infer([X])
    assert [step for step, _ in steps] == [0, 1]
    assert steps[0][1] < steps[1][1]
    with pytest.raises(McugenError, match="has no function nothing"):
        simulator.on_function("nothing", print)


@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize("engine", ["unicorn", "qemu"])
def test_garbage_does_not_harm(images: Images, engine: str, seed: int) -> None:
    """Garbage longer than the receive ring, then an inference."""
    generator = random.Random(seed)
    with start(images, engine, "gcc") as device:
        device.hello()
        frame = bytearray(encode(Frame(3, 1, generator.randbytes(500))))
        for at in range(0, len(frame) - 1, 50):
            frame[at] = generator.randrange(256)
        device.transport.write(generator.randbytes(5000) + bytes(frame) * 3)
        assert device.infer([X]).outputs == [Y]
        assert device.hello().boots == 1


def test_requests_while_busy_are_kept(images: Images) -> None:
    """The interrupt fills the ring while an inference runs: all answers come, in order."""
    with start(images, "qemu", "gcc") as device:
        device.hello()
        device.transport.write(b"".join(encode(Frame(1, n)) for n in range(1, 100)))
        assert device.infer([X]).outputs == [Y]
        assert device.hello().rx_lost == 0


def test_renode_is_never_passed_silently(images: Images, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    image = images.build("nucleo-h743zi", "gcc")
    with pytest.raises(McugenError, match="renode is not on the PATH"):
        open_engine("renode", image)
    with pytest.raises(McugenError, match="qemu-system-arm is not on the PATH"):
        open_engine("qemu", images.build("mps2-an500", "gcc"))


def test_images_for_another_board_are_refused(images: Images) -> None:
    for engine in ("qemu", "renode", "unicorn"):
        other = "nucleo-h743zi" if engine == "qemu" else "mps2-an500"
        with pytest.raises(McugenError, match=other):
            open_engine(engine, images.build(other, "gcc"))
    with pytest.raises(McugenError, match="use one of unicorn, qemu"):
        open_engine("none", images.build("nucleo-h743zi", "gcc"))
    with pytest.raises(McugenError, match="no port was given"):
        open_engine("serial", images.build("nucleo-h743zi", "gcc"))
