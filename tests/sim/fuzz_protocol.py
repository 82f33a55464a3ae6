"""Fuzzes the firmware's protocol natively under ASan and UBSan: `python tests/sim/fuzz_protocol.py --runs 10000000`.

With clang by libFuzzer, guided by coverage; without it by the generator of test_hostile.py. Says which, and how many inputs.
"""

from __future__ import annotations

import argparse
import os
import random
import re
import shutil
import struct
import subprocess
import sys
import tempfile
from pathlib import Path

from native_port import HERE, SOURCES
from test_hostile import mutate, request

from mcugen.protocol.frames import decode
from mcugen.resources import data_dir
from mcugen.toolchain import compile_native

MAX_BYTES = 1300
"""Longer than the longest request; short, so that inputs stay fast."""
SEEDS = 300
DICTIONARY = (0, 1, 2, 7, 8, 9, 1023, 1024, 1025, 2**31, 2**32 - 8, 2**32 - 4, 2**32 - 1)
_CHECKS = "-fsanitize=fuzzer,address,undefined"


def build_libfuzzer(out: Path, firmware: Path) -> Path | None:
    """The target for libFuzzer around the protocol's sources in `firmware`; None where clang or its runtime is missing."""
    clang = shutil.which("clang")
    if clang is None:
        return None
    own = [HERE / name for name in ("native_device.c", "tiny_model.c", "fuzz_frames.c")]
    sources = [*own, *(firmware / path.name for path in SOURCES if path.parent != HERE)]
    options = ["-std=c11", "-g", "-O2", _CHECKS, "-fno-sanitize-recover=all", "-DLIBFUZZER", f"-I{firmware}"]
    command = [clang, *options, *map(str, sources), "-o", str(out)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    if done.returncode and "libclang_rt" not in done.stderr:
        raise RuntimeError(done.stderr)
    return out if done.returncode == 0 else None


def write_corpus(folder: Path) -> None:
    """Seeds: requests of test_hostile.py, as bytes on the line and as records for fuzz_frames.c, between inferences that run."""
    folder.mkdir(parents=True, exist_ok=True)
    generator = random.Random(1)
    for number in range(SEEDS):
        line = mutate(generator, request(generator))[: MAX_BYTES - 1]
        (folder / f"line-{number}").write_bytes(b"\0" + line)
        frame = decode(request(generator)[:-1])
        record = struct.pack("<BBH", frame.type & 127, frame.sequence, len(frame.payload)) + frame.payload
        run = struct.pack("<BBH", 128, 0xC, number % 4) + generator.randbytes(8)
        (folder / f"record-{number}").write_bytes((b"\1" + run + record)[:MAX_BYTES])


def run_libfuzzer(target: Path, corpus: Path, runs: int, seed: int, seconds: int) -> tuple[bool, str]:
    """(no finding, summary); at most `seconds`."""
    write_corpus(corpus)
    dictionary = corpus.parent / "words"
    words = (number.to_bytes(4, "little").hex("/").replace("/", "\\x") for number in DICTIONARY)
    dictionary.write_text("".join(f'"\\x{word}"\n' for word in words))
    command = [str(target), f"-runs={runs}", f"-max_len={MAX_BYTES}", f"-seed={seed}", f"-max_total_time={seconds}"]
    command += ["-timeout=20", "-print_final_stats=1", f"-artifact_prefix={corpus.parent}/", f"-dict={dictionary}", str(corpus)]
    environment = {**os.environ, "ASAN_OPTIONS": "quarantine_size_mb=1"}
    done = subprocess.run(
        command, capture_output=True, text=True, errors="replace", timeout=seconds + 120, check=False, env=environment
    )
    executed = re.search(r"number_of_executed_units: (\d+)", done.stderr)
    cover = re.findall(r"cov: (\d+) ft: (\d+)", done.stderr)
    count = int(executed[1]) if executed else 0
    found = f", {cover[-1][0]} edges and {cover[-1][1]} features covered" if cover else ""
    if "run interrupted" in done.stderr:
        return False, f"libFuzzer: interrupted after {count:,} inputs, no finding among them{found}"
    if done.returncode:
        return False, f"libFuzzer: a finding after {count:,} inputs\n{done.stderr[-4000:]}"
    return True, f"libFuzzer with ASan and UBSan: {count:,} inputs, no finding{found}"


def run_generator(folder: Path, runs: int, seed: int) -> tuple[bool, str]:
    """Conversations of test_hostile.py, 20,000 a process."""
    target = compile_native(SOURCES, [], folder / "device", sanitize=True, opt=("-O1",))
    generator = random.Random(seed)
    for start in range(0, runs, 20_000):
        records = []
        for _ in range(min(20_000, runs - start)):
            data = b"".join(mutate(generator, request(generator)) for _ in range(generator.randrange(1, 6)))
            records.append(struct.pack("<I", len(data)) + data)
        done = subprocess.run([str(target)], input=b"".join(records), capture_output=True, timeout=600, check=False)
        if done.returncode:
            return False, f"a finding within {start + len(records):,} inputs\n{done.stderr.decode(errors='replace')[-4000:]}"
    return True, f"random conversations under ASan and UBSan (clang or its runtime is missing): {runs:,} inputs, no finding"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--runs", type=int, default=10_000_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--seconds", type=int, default=24 * 3600, help="stop after that long")
    parser.add_argument("--keep", type=Path, help="folder for the corpus and a finding  [default: removed]")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.keep or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        target = build_libfuzzer(folder / "fuzz", data_dir("firmware"))
        if target is None:
            good, text = run_generator(folder, options.runs, options.seed)
        else:
            good, text = run_libfuzzer(target, folder / "corpus", options.runs, options.seed, options.seconds)
    print(text)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
