"""Thousands of faulty exchanges with the simulated board, counted: `python tests/sim/faults.py --exchanges 10000 --seed 0`.

An exchange is one call of the client (HELLO, an inference, a traced one, one step's output) on a line that lies; after each the
line is calm again and the device must answer a good request. Time is virtual; a call that takes more than `REAL_S` seconds
of this computer's time is a hang too, and ends the program with a traceback.
"""

from __future__ import annotations

import argparse
import faulthandler
import random
import sys
import tempfile
import time
import zlib
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from images import DIGEST, Images

from mcugen.build import link, random_codes
from mcugen.engines import h743
from mcugen.engines.faulty import BYTES, KINDS, FaultyPort
from mcugen.engines.unicorn import Simulator
from mcugen.errors import McugenError
from mcugen.interpret import interpret
from mcugen.numerics.packing import from_bytes, to_bytes
from mcugen.pipeline import compile_model
from mcugen.protocol.client import ATTEMPT_FACTOR, Device
from mcugen.toolchain import Image

TIMEOUT_S, INFER_S, REAL_S = 0.5, 1.0, 60.0
REQUESTS = 12
"""Requests of one call at most: HELLO, three tensors, three WRITEs, READ or STEPS, and HELLO and DESCRIBE to explain."""
LIMIT_S = ATTEMPT_FACTOR * (REQUESTS * TIMEOUT_S + 3 * INFER_S)
FACES = Path(__file__).parents[2] / "examples" / "faces" / "hybrid.h5"
Call = Callable[[Device, bytes], bool]


@dataclass
class Totals:
    """What became of the exchanges, by kind of fault; `unanswered` counts good requests that failed."""

    exchanges: Counter[str] = field(default_factory=Counter)
    faults: Counter[str] = field(default_factory=Counter)
    retried: Counter[str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)
    wrong: Counter[str] = field(default_factory=Counter)
    hangs: Counter[str] = field(default_factory=Counter)
    unanswered: Counter[str] = field(default_factory=Counter)
    longest_s: float = 0.0
    notes: list[str] = field(default_factory=list)

    @property
    def good(self) -> bool:
        return not (self.wrong.total() or self.hangs.total() or self.unanswered.total())

    def table(self) -> str:
        columns = ("exchanges", "faults", "retried", "refused", "wrong", "hangs", "unanswered")
        lines = [f"{'kind':16}" + "".join(f"{name:>11}" for name in columns)]
        for kind in (*KINDS, "all kinds mixed", "total"):
            counts = [getattr(self, name) for name in columns]
            numbers = [count.total() if kind == "total" else count[kind] for count in counts]
            lines.append(f"{kind:16}" + "".join(f"{number:11,}" for number in numbers))
        lines.append(f"longest call: {self.longest_s:.1f} virtual seconds of {LIMIT_S:.1f} allowed")
        return "\n".join([*lines, *self.notes[:20]])


class Bench:
    """A simulated board behind a line that lies."""

    def __init__(self, image: Image, seed: int, digest: bytes, infer_s: float = INFER_S, watchdog: float = 0.01) -> None:
        self.simulator = Simulator(image.elf, image.board, faults="deliver", watchdog_scale=watchdog)
        self.port = FaultyPort(self.simulator.transport(), seed, reset=self._reset)
        self._digest, self._infer_s, self._armed = digest, infer_s, False
        self._causes = random.Random(seed)
        self.simulator.on_function("after_step", self._after_step)

    def device(self) -> Device:
        """A client that has just started."""
        return Device(
            self.port, digest=self._digest, timeout=TIMEOUT_S, infer_timeout=self._infer_s, clock=self.port.clock
        )

    def calm(self) -> None:
        self._armed = False
        self.port.calm()

    def _reset(self, mid: bool) -> None:
        if mid:
            self._armed = True
        else:
            self.simulator.reset(self._causes.choice((h743.RESET_POWER, h743.RESET_SOFTWARE, h743.RESET_WATCHDOG)))

    def _after_step(self, step: int) -> None:
        if self._armed:
            self._armed = False
            self.simulator.reset_soon()


def add(data: bytes, number: int) -> bytes:
    """The tiny model's answer after `number` steps."""
    return bytes((b + number) & 255 for b in data)


def say_hello(device: Device, data: bytes) -> bool:
    hello = device.hello()
    return (hello.model, hello.board, hello.digest, hello.n_steps) == ("tiny", "nucleo-h743zi", DIGEST, 2)


def infer(device: Device, data: bytes) -> bool:
    return device.infer([data]).outputs == [add(data, 2)]


def trace(device: Device, data: bytes) -> bool:
    result, steps = device.trace([data])
    crcs = [zlib.crc32(add(data, number)) for number in (1, 2)]
    return result.outputs == [add(data, 2)] and [step.crc for step in steps] == crcs


def step_output(device: Device, data: bytes) -> bool:
    step = data[1] % 2
    return device.step_output([data], step) == add(data, step + 1)


CALLS: tuple[Call, ...] = (infer, infer, infer, trace, step_output, say_hello)


def campaign(image: Image, exchanges: int, seed: int) -> Totals:
    """Faulty exchanges with the tiny model, all kinds in turn, then mixed."""
    random.seed(seed)  # the client starts at a random sequence number
    rng, totals = random.Random(seed), Totals()
    bench = Bench(image, seed, DIGEST)
    device = bench.device()
    kinds = (*KINDS, "all kinds mixed")
    for number in range(exchanges):
        kind = kinds[number % len(kinds)]
        before = sum(bench.port.faults.values())
        bench.port.arm(*(KINDS if kind == kinds[-1] else (kind,)), share=rng.choice((0.1, 0.3, 0.3, 0.6, 1.0)))
        usable = exchange(bench, device, rng, kind, totals)
        totals.faults[kind] += sum(bench.port.faults.values()) - before
        bench.calm()
        if not usable or "firmware" in kind or kind == kinds[-1]:
            device = bench.device()
        good_request(device, kind, totals, number)
    return totals


def exchange(bench: Bench, device: Device, rng: random.Random, kind: str, totals: Totals) -> bool:
    """One call under the armed faults; False if it ended in an error, as a command would."""
    data = bytes([rng.randrange(0xEE)]) + rng.randbytes(7)
    call = rng.choice(CALLS)
    totals.exchanges[kind] += 1
    resent, started, real = device.resent, bench.port.clock(), time.monotonic()
    faulthandler.dump_traceback_later(REAL_S, exit=True)
    try:
        if not call(device, data):
            totals.wrong[kind] += 1
            totals.notes.append(f"wrong result accepted: {call.__name__} under {kind}")
        return True
    except McugenError:
        totals.refused[kind] += 1
        return False
    finally:
        faulthandler.cancel_dump_traceback_later()
        took = bench.port.clock() - started
        totals.longest_s = max(totals.longest_s, took)
        totals.hangs[kind] += took > LIMIT_S or time.monotonic() - real > REAL_S
        totals.retried[kind] += device.resent > resent


def good_request(device: Device, kind: str, totals: Totals, number: int) -> None:
    data = bytes((number + at) % 0xEE for at in range(8))
    try:
        if infer(device, data):
            return
        totals.notes.append(f"a good request after {kind} got a wrong answer")
    except McugenError as error:
        totals.notes.append(f"a good request after {kind} got {error}")
    totals.unanswered[kind] += 1


def stream_tiny(image: Image, count: int, seed: int) -> str:
    """Inputs streamed with 1% of the frames damaged, either way; each answer names its input."""
    bench = Bench(image, seed, DIGEST)
    bench.port.arm(*BYTES, share=0.01)
    device, rng = bench.device(), random.Random(seed)
    sent = [bytes([number % 0xEE]) + number.to_bytes(4, "little") + rng.randbytes(3) for number in range(count)]
    answers = [add(device.infer([data]).outputs[0], 254) for data in sent]
    return summary("tiny model", answers == sent, len(set(answers)), count, bench, device)


def stream_faces(count: int, seed: int) -> str:
    """The same with the face network's 27,648-byte images."""
    compiled = compile_model(FACES)
    codes = random_codes(compiled.graph, count, seed)
    wanted = interpret(compiled.graph, codes)[compiled.graph.outputs[0]]
    kinds = [compiled.graph[name].type for name in (compiled.graph.inputs[0], compiled.graph.outputs[0])]
    with tempfile.TemporaryDirectory() as folder:
        image = link(compiled, Path(folder))
        bench = Bench(image, seed, bytes.fromhex(compiled.sources.digest[:32]), infer_s=60.0, watchdog=1.0)
        bench.port.arm(*BYTES, share=0.01)
        device = bench.device()
        answers = [device.infer([to_bytes(codes[0][i : i + 1], kinds[0]).tobytes()]).outputs[0] for i in range(count)]
    made = np.concatenate([from_bytes(np.frombuffer(a, np.uint8).reshape(1, -1), kinds[1]) for a in answers])
    return summary("face network", bool((made == wanted).all()), len(set(answers)), count, bench, device)


def summary(what: str, right: bool, distinct: int, count: int, bench: Bench, device: Device) -> str:
    faults = sum(bench.port.faults.values())
    verdict = "all right, none lost, none doubled" if right and distinct == count else "WRONG"
    return f"{what}: {count:,} images, 1% of frames damaged ({faults:,} frames), {device.resent:,} requests sent again: {verdict}"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    for name, default in (("exchanges", 10_000), ("seed", 0), ("images", 2_000), ("faces", 20)):
        parser.add_argument(f"--{name}", type=int, default=default)
    options = parser.parse_args()
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        image = Images(Path(folder)).build("nucleo-h743zi", "gcc")
        totals = campaign(image, options.exchanges, options.seed)
        print(totals.table(), flush=True)
        lines = [stream_tiny(image, options.images, options.seed)] if options.images else []
        lines += [stream_faces(options.faces, options.seed)] if options.faces else []
    print("\n".join(lines))
    good = totals.good and not any("WRONG" in line for line in lines)
    print(f"{'passed' if good else 'FAILED'} in {time.monotonic() - started:.0f} s")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
