"""docs/coverage.md is whole: made by tests/coverage_table.py, no blank cells, all classes and quantizers, all refusals."""

from __future__ import annotations

import re
from pathlib import Path

from mcugen.load.classes import CLASSES, REFUSED
from mcugen.quantizers.parse import KINDS

PAGE = (Path(__file__).parents[2] / "docs" / "coverage.md").read_text()
ROWS = [line for line in PAGE.splitlines() if line.startswith("| ")]


def test_no_cell_is_blank() -> None:
    assert len(ROWS) > 150
    for row in ROWS:
        assert all(cell.strip() for cell in row.strip("|").split("|")), row


def test_every_class_and_quantizer_is_listed() -> None:
    named = set(re.findall(r"[A-Za-z_0-9]+", PAGE))
    assert named >= {*CLASSES, *REFUSED, *KINDS} - {"InputLayer"}


def test_every_refusal_has_its_message() -> None:
    numbers = {int(number) for number in re.findall(r"refused (\d+)", PAGE)}
    listed = {int(number) for number in re.findall(r"^(\d+)\. .+; .+", PAGE, re.MULTILINE)}
    assert numbers and numbers == listed
