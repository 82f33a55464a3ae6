"""Tables in flash: as narrow as their values allow, and each stored once."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from mcugen.boards import load_board
from mcugen.budget import constants_bytes, distinct_constants
from mcugen.codegen.body import Body, share_tables, tables_bytes
from mcugen.ir import Int
from mcugen.numerics.narrow import Narrow, Pair
from mcugen.numerics.requantize import _roundest
from mcugen.ops.base import Constant
from mcugen.pipeline import compile_graph, integer_graph

MODELS = Path(__file__).parents[2] / "examples" / "faces"
CASES = {
    "one": ([7, 7, 7], "", 0),
    "int8_t": ([-128, 127, 3], "int8_t", 0),
    "uint8_t": ([0, 255, 3], "uint8_t", 0),
    "int16_t": ([-129, 255, 3], "int16_t", 0),
    "uint16_t": ([0, 65535, 3], "uint16_t", 0),
    "int32_t": ([0, 65536, 3], "int32_t", 0),
    "whole": ([-(1 << 31), (1 << 31) - 1], "int32_t", 0),
    "shifted": ([-(1 << 24), 5 << 20, 3 << 22], "int8_t", 20),
    "shifted to 16": ([1 << 30, 3 << 16], "int16_t", 16),
    "shifted in vain": ([1 << 30, 2], "int32_t", 0),
}


def read(expression: str, tables: dict[str, Int], c: int) -> int:
    """The C expression's value for channel c."""
    return int(eval(expression.replace("INT32_MIN", str(-(1 << 31))), {"__builtins__": {}}, {**tables, "c": c}))


@pytest.mark.parametrize("case", CASES)
def test_numbers_are_stored_in_the_narrowest_type(case: str) -> None:
    values, c_type, shift = CASES[case]
    narrow = Narrow.of(np.array(values))
    constants = narrow.constants("t")
    assert [constant.c_type for constant in constants] == ([c_type] if c_type else []) and narrow.shift == shift
    tables = {constant.name: constant.values.astype(np.int64) for constant in constants}
    assert [read(narrow.at("t", "c"), tables, c) for c in range(len(values))] == values


@pytest.mark.parametrize("first", CASES)
@pytest.mark.parametrize("second", ["one", "int8_t", "int16_t", "int32_t"])
def test_pairs_read_back(first: str, second: str) -> None:
    count = min(len(CASES[first][0]), len(CASES[second][0]))
    values = [np.array(CASES[each][0][:count]) for each in (first, second)]
    pair = Pair.of(*values)
    tables = {constant.name: constant.values.astype(np.int64) for constant in pair.constants("t")}
    for which in (0, 1):
        assert [read(pair.at(which, "t", "c"), tables, c) for c in range(count)] == list(values[which])
    assert pair.bytes == sum(constant.values.nbytes for constant in pair.constants("t"))


def test_offsets_are_as_round_as_all_channels_can_be() -> None:
    rng = np.random.default_rng(0)
    for spread in (10, 1000, 1 << 20):
        low = rng.integers(-(1 << 29), 1 << 29, 50)
        high = low + rng.integers(0, spread, 50)
        found = _roundest(low, high)
        assert (low <= found).all() and (found <= high).all()
    assert set(_roundest(np.array([-5, 3, 2]), np.array([9, 8, 7]))) == {4}
    assert list(_roundest(np.array([1001, 250]), np.array([1100, 300]))) == [1024, 256]


def test_equal_tables_are_stored_once() -> None:
    a, b, other = Constant("m_a", "uint8_t", np.array([1, 2])), Constant("m_b", "uint8_t", np.array([1, 2]), 8), np.array([1, 2])
    bodies = share_tables([
        Body("", (a,), "use(m_a);"), Body("", (b, Constant("m_c", "int16_t", other)), "use(m_b, m_b2, m_c);"),
    ])  # fmt: skip
    assert tables_bytes(bodies) == 6
    assert [[(t.name, t.align) for t in body.tables] for body in bodies] == [[("m_a", 8)], [("m_c", 4)]]
    assert [body.text for body in bodies] == ["use(m_a);", "use(m_a, m_b2, m_c);"]


def test_a_models_tables_are_all_different() -> None:
    compiled = compile_graph(integer_graph(MODELS / "qmobilefacenet_mixed.h5"), load_board("nucleo-h743zi"))
    found = re.findall(r"static const (\w+) \w+\[\d+\] MCU_ALIGN\(\d+\) = \{(.*?)\};", compiled.sources.files["model.c"], re.S)
    assert len(found) == len(set(found)) and compiled.sources.saved_bytes > 1000
    each = sum(constant.values.nbytes for call in compiled.calls for constant in call.constants)
    assert sum(constants_bytes(compiled.calls)) == each - compiled.sources.saved_bytes
    assert sum(len(constants) for _, constants in distinct_constants(compiled.calls)) <= len(found)
