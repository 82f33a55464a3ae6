"""Quantizers as step functions of float32: the table gives the quantizer's own code for every float tried."""

import numpy as np
import pytest

from mcugen.numerics.step_table import float_to_ordered, ordered_to_float, step_table
from mcugen.quantizers import parse


@pytest.mark.parametrize("text", ["quantized_hswish(6,2,alpha=1)", "quantized_hswish(5,2,1)", "quantized_sigmoid(5)",
                                  "quantized_tanh(8)",
                                  "ternary(alpha=1)", "quantized_po2(4)", "quantized_bits(4,1,1,alpha=0.3)"])  # fmt: skip
def test_table_equals_quantizer(text: str) -> None:
    quantizer = parse(text, "act")
    assert quantizer is not None
    table = step_table(quantizer)
    rng = np.random.default_rng(0)
    near = [ordered_to_float(float_to_ordered(table.breakpoints) + d) for d in (-1, 0, 1)]
    grid = (np.arange(-4096, 4097) / 512).astype(np.float32)
    values = np.concatenate([rng.normal(0, 3, 20000).astype(np.float32), grid, *near])
    found = table.codes[np.searchsorted(table.breakpoints, values, side="right")]
    assert (found == quantizer.codes(values)).all()


def test_order_of_floats() -> None:
    values = np.array([-1.5, -0.0, 0.0, 1e-45, 2.5], np.float32)
    order = float_to_ordered(values)
    assert (np.diff(order) > 0).all() and (ordered_to_float(order).view(np.uint32) == values.view(np.uint32)).all()
