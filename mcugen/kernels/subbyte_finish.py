"""How kernels for packed codes finish sums: by the integer form where all channels have one, two channels at a time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from mcugen.ir import Node, TensorType
from mcugen.numerics.epilogue import Epilogue, Fixed
from mcugen.numerics.narrow import Pair


def fixed_form(node: Node, sources: Sequence[TensorType]) -> Fixed | None:
    """The integer form of the output stage, if all channels have one and it adds at most a residual of codes."""
    epilogue: Epilogue = node.attrs["epilogue"]
    form, residual = epilogue.form, epilogue.residual
    if not isinstance(form, Fixed) or form.even or not form.proved.all() or len(sources) > 2:
        return None
    added = residual is not None and form.residual_shift is not None and sources[residual.operand].layout != "words"
    return form if len(sources) == 1 or added else None


def finish_line(node: Node, sources: Sequence[TensorType], count: int) -> Pair | None:
    """Multiplier and offset of `count` channels, those beyond the node's as the last; None where there is no integer form."""
    form = fixed_form(node, sources)
    if form is None:
        return None
    numbers = [np.broadcast_to(each, node.type.channels) for each in (form.mult, form.offset)]
    return Pair.of(*(np.pad(each, (0, count - len(each)), mode="edge") for each in numbers))


def finish_params(node: Node, sources: Sequence[TensorType], count: int) -> dict[str, Any]:
    """What templates/subbyte_output.c.j2 reads, for tables of `count` channels."""
    residual = node.attrs["epilogue"].residual
    return {
        "fast": fixed_form(node, sources), "line": finish_line(node, sources, count),
        "residual": 0 if residual is None else residual.operand,
        "pairs_packed": node.type.layout == "packed" and node.type.whole, "out_bits": node.type.bits,
        "out_stride": node.type.stride,
    }  # fmt: skip
