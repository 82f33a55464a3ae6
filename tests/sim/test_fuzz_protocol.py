"""A short run of `make fuzz-protocol`, and proof that it would find something."""

from __future__ import annotations

import shutil
from pathlib import Path

from fuzz_protocol import build_libfuzzer, run_generator, run_libfuzzer

from mcugen.resources import data_dir

CHECK = "return offset <= tensor->bytes && bytes <= tensor->bytes - offset;"
FORGOTTEN = "return offset <= tensor->bytes || bytes == 0;"
NEEDS = "needs libFuzzer: apt-get install clang libclang-rt-dev"


def test_twenty_thousand_inputs(tmp_path: Path) -> None:
    target = build_libfuzzer(tmp_path / "fuzz", data_dir("firmware"))
    assert target is not None, NEEDS
    good, text = run_libfuzzer(target, tmp_path / "corpus", 20_000, seed=3, seconds=120)
    assert good and "no finding" in text, text


def test_a_forgotten_check_is_found(tmp_path: Path) -> None:
    firmware = tmp_path / "firmware"
    shutil.copytree(data_dir("firmware"), firmware)
    header = firmware / "protocol.h"
    text = header.read_text()
    assert CHECK in text
    header.write_text(text.replace(CHECK, FORGOTTEN))
    target = build_libfuzzer(tmp_path / "fuzz", firmware)
    assert target is not None, NEEDS
    good, text = run_libfuzzer(target, tmp_path / "corpus", 500_000, seed=3, seconds=60)
    assert not good and "AddressSanitizer" in text


def test_without_libfuzzer_random_conversations_run(tmp_path: Path) -> None:
    good, text = run_generator(tmp_path, 2_000, seed=3)
    assert good and text.endswith("2,000 inputs, no finding"), text
