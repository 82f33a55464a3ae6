"""Mutated model files for the loader: each must load or give one McugenError, within 10 s and 1 GB, without a crash
(here 20 s, times the processes that wait for each core, for machines with other work to do).

    python tests/unit/fuzz_load.py [COUNT] [FIRST_SEED]

The loading runs in worker processes, since a fault in libhdf5 would end the process; a failing seed is reproduced by
`python tests/unit/fuzz_load.py 1 SEED`.
"""

from __future__ import annotations

import copy
import json
import os
import resource
import selectors
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE.parent.parent), str(HERE)]

import numpy as np  # noqa: E402
from model_files import sample, write_h5, write_json, write_keras  # noqa: E402

from mcugen.errors import McugenError  # noqa: E402
from mcugen.load import hdf5, load  # noqa: E402
from tests.fuzzing.sound import contents_here  # noqa: E402

WORDS = [0, 1 << 20, 1 << 31, 1 << 62, (1 << 64) - 1]
BYTES = 1 << 30
ODD = [None, True, False, -1, 0, 1, 2, 3, 7, 1 << 20, 1 << 40, 10**30, -0.5, 0.3, 1e300, float("nan"), float("inf"), "", "x",
       "linear", "image", "conv1", "channels_first", "binary", "quantized_bits(4)", "Flatten", "QDense", "Sequential", [], {},
       [[]], [1, 2, 3], ["image", 0, 0], {"class_name": "binary", "config": {}}, "a" * 5000, "\u0000", "os"]  # fmt: skip


def seconds() -> float:
    """The limit of now."""
    return 20.0 * max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1))


def containers(item: Any) -> list[Any]:
    """All non-empty dicts and lists inside a JSON value."""
    found, waiting = [], [item]
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict | list) and value:
            found.append(value)
            waiting += value.values() if isinstance(value, dict) else value
    return found


def mutated_config(rng: np.random.Generator, config: Any) -> Any:
    """A copy of the config with one to three values replaced, removed, doubled or swapped."""
    config = copy.deepcopy(config)
    for _ in range(int(rng.integers(1, 4))):
        places = containers(config) or [[config]]
        place = places[rng.integers(len(places))]
        keys = list(place) if isinstance(place, dict) else list(range(len(place)))
        key = keys[rng.integers(len(keys))]
        kind = rng.integers(5)
        if kind < 2:
            place[key] = copy.deepcopy(ODD[rng.integers(len(ODD))])
        elif kind == 2:
            del place[key]
        elif kind == 3:
            other = places[rng.integers(len(places))]
            place[key] = copy.deepcopy(other)
        elif isinstance(place, list):
            place.append(copy.deepcopy(place[key]))
        else:
            place[str(ODD[rng.integers(len(ODD))])[:40]] = place[key]
    return config


def mutated_bytes(rng: np.random.Generator, data: bytes) -> bytes:
    """A copy with bits flipped, bytes set, blocks moved, or the end cut off."""
    raw = bytearray(data)
    for _ in range(int(rng.integers(1, 8))):
        kind, place = rng.integers(5), int(rng.integers(len(raw)))
        if kind == 0:
            raw[place] ^= 1 << int(rng.integers(8))
        elif kind == 1:
            raw[place] = int(rng.choice([0, 1, 127, 128, 255]))
        elif kind == 2:
            length, source = int(rng.integers(1, 64)), int(rng.integers(len(raw)))
            raw[place : place + length] = raw[source : source + length]
        elif kind == 3:
            raw[place : place + 8] = WORDS[rng.integers(len(WORDS))].to_bytes(8, "little")
        elif rng.integers(4) == 0 and len(raw) > 200:
            del raw[place:]
            raw += b"" if raw else b"PK"
    return bytes(raw)


def mutant(seed: int, folder: Path) -> tuple[Path, bool]:
    """The file of a seed, and whether it is sound HDF5 with a mutated config (else it has mutated bytes)."""
    rng = np.random.default_rng(seed)
    config, weights = sample()
    kind = str(rng.choice(["h5", "h5", "keras", "json"]))
    path = folder / f"mutant.{kind}"
    writer = {"h5": write_h5, "keras": write_keras, "json": write_json}[kind]
    if rng.integers(2):
        config = mutated_config(rng, config)
        try:
            return writer(path, config, weights), True
        except (KeyError, TypeError, ValueError, AttributeError):  # the writer itself needs names
            return write_h5(path, config, weights), True
    writer(path, config, weights)
    broken = path.with_suffix(".weights.h5") if kind == "json" and rng.integers(2) else path
    broken.write_bytes(mutated_bytes(rng, broken.read_bytes()))
    return path, False


def work(first: int, count: int) -> None:
    """Load the files of some seeds; print each seed before and its result after."""
    in_use = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (in_use + BYTES, in_use + BYTES))
    isolated = hdf5.contents
    with tempfile.TemporaryDirectory() as folder:
        for seed in range(first, first + count):
            path, sound = mutant(seed, Path(folder))
            hdf5.contents = contents_here if sound else isolated
            print("seed", seed, flush=True)
            try:
                load(path)
                print("loaded", flush=True)
            except McugenError as error:
                print("refused", json.dumps(str(error)), flush=True)
            except BaseException as error:
                print("bad", type(error).__name__, json.dumps(str(error)[:200]), flush=True)


def watch(process: subprocess.Popen[str], first: int, counts: Counter[str]) -> tuple[int, list[str]]:
    """Follow one worker to its end or its first silence: the last seed it began, and the failures."""
    assert process.stdout is not None and process.stderr is not None
    selector = selectors.DefaultSelector()
    selector.register(process.stdout, selectors.EVENT_READ)
    seed, started, failures = first - 1, time.monotonic(), list[str]()
    while True:
        if not selector.select(seconds() + (40 if seed < first else 0)):
            process.kill()
            return seed, [*failures, f"seed {seed}: silent for {seconds():.0f} s"]
        words = process.stdout.readline().split(maxsplit=1)
        if not words:
            break
        if words[0] == "seed":
            seed, started = int(words[1]), time.monotonic()
            continue
        counts[words[0]] += 1
        if words[0] == "bad" or time.monotonic() - started > seconds():
            failures.append(f"seed {seed}: {' '.join(words).strip()[:200]} in {time.monotonic() - started:.1f} s")
    if process.wait() != 0:
        failures.append(f"seed {seed}: exit code {process.returncode}: {process.stderr.read()[-300:]}")
    return seed, failures


def run(count: int, first: int = 0, report: Callable[[str], None] = print) -> tuple[Counter[str], list[str]]:
    """Counts of results, and the failures as texts with their seeds, which `report` gets as they come."""
    counts, failures, seed = Counter[str](), list[str](), first
    while seed < first + count:
        command = [sys.executable, __file__, "--worker", str(seed), str(first + count - seed)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, bufsize=1) as process:
            last, found = watch(process, seed, counts)
        for failure in found:
            report(failure)
        failures += found
        seed = max(last, seed) + 1
    return counts, failures


if __name__ == "__main__":
    if sys.argv[1:2] == ["--worker"]:
        work(int(sys.argv[2]), int(sys.argv[3]))
    else:
        numbers = [int(word) for word in sys.argv[1:]]
        totals, failed = run(*(numbers or [200]))
        print(dict(totals), f"{len(failed)} failures")
        sys.exit(bool(failed))
