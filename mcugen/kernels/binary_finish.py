"""From counts of matches to codes and bits. C twins: firmware/mcu_binary.h and templates/binary_output.c.j2."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from mcugen.ir import Array, Node, TensorType
from mcugen.kernels.binary_pack import LANES
from mcugen.numerics.epilogue import Epilogue, Fixed, Raw, Threshold
from mcugen.numerics.narrow import Pair
from mcugen.ops.base import Constant


def mode_of(node: Node, sources: Sequence[TensorType]) -> str:
    """How counts become what is stored: "bits", "fixed" (but for slow channels) or "generic", through the stage in C."""
    epilogue: Epilogue = node.attrs["epilogue"]
    form, kind = epilogue.form, node.type
    if isinstance(form, Threshold) and kind.layout == "words":
        groups = node.attrs.get("groups", 1)
        return "bits" if groups == 1 or kind.channels // groups % LANES == 0 else "generic"
    if not isinstance(form, Fixed) or form.even or kind.bits != 8 or kind.layout != "hwc" or kind.channels > 4095:
        return "generic"
    if not _saturate(form) or 2 * int(slow_channels(node).sum()) > kind.channels:
        return "generic"
    if epilogue.residual is None:
        return "fixed" if len(sources) == 1 else "generic"
    residual = sources[epilogue.residual.operand]
    eight_bits = residual.kind == "int" and residual.bits == 8 and residual.layout == "hwc"
    return "fixed" if eight_bits and form.residual_shift == form.post else "generic"


def slow_channels(node: Node) -> Array:
    """bool (channels,): those that have no proved fixed form."""
    form = node.attrs["epilogue"].form
    assert isinstance(form, Fixed)
    return np.broadcast_to(~form.proved, (node.type.channels,))


def asked(node: Node, sources: Sequence[TensorType]) -> Array | None:
    return slow_channels(node) if mode_of(node, sources) == "fixed" and slow_channels(node).any() else None


def stage_cycles(node: Node, sources: Sequence[TensorType], bands: int, wide: bool) -> float:
    mode, channels = mode_of(node, sources), node.type.channels
    if mode == "fixed":
        slow = int(slow_channels(node).sum())
        return (4.9 + 80.0 * slow / channels) * node.type.size + 45.0 * channels * bands
    if mode == "bits":
        return node.type.size * (3.0 if wide else 2.0)
    return node.type.size * {Raw: 8.0, Fixed: 22.0}.get(type(node.attrs["epilogue"].form), 45.0)


def stage_params(node: Node, sources: Sequence[TensorType], wide: bool, twice: bool) -> dict[str, Any]:
    epilogue: Epilogue = node.attrs["epilogue"]
    mode, residual = mode_of(node, sources), epilogue.residual
    form = epilogue.form if mode == "fixed" else None
    other = f"in{residual.operand}" if residual is not None else "out"
    signed = residual is not None and sources[residual.operand].signed
    return {
        "mode": mode, "wide": int(wide), "twice": int(twice),
        "adds": int(residual is not None), "other": other, "load": "ldrsb" if signed else "ldrb",
        "line": Pair.of(form.mult, form.offset) if isinstance(form, Fixed) else None,
        "pre": form.pre if isinstance(form, Fixed) else 0, "post": form.post if isinstance(form, Fixed) else 0,
        "saturate": _saturate(form) if isinstance(form, Fixed) else "", "slow": int(asked(node, sources) is not None),
    }  # fmt: skip


def stage_constants(
    node: Node, sources: Sequence[TensorType], terms: int, wide: bool, twice: bool
) -> tuple[Constant, ...]:
    """Multipliers and offsets, or thresholds on counts and flips (words of 32 channels)."""
    form, count, mode = node.attrs["epilogue"].form, node.type.channels, mode_of(node, sources)
    if mode == "fixed":
        slow = slow_channels(node)
        line = Pair.of(form.mult, form.offset).constants("line")
        return (*line, Constant("slow", "uint8_t", slow.astype(np.uint8))) if slow.any() else line
    if mode != "bits":
        return ()
    threshold = np.broadcast_to(form.threshold, (count,)) + terms
    if not twice:
        threshold = (threshold + 1) >> 1
    dtype = np.uint16 if wide else np.uint8
    threshold = np.clip(threshold, 0, np.iinfo(dtype).max)
    threshold = np.pad(threshold, (0, -count % LANES), constant_values=np.iinfo(dtype).max)
    flips = np.packbits(np.pad(np.broadcast_to(form.flip, (count,)), (0, -count % 32)), bitorder="little").view("<u4")
    return (Constant("threshold", f"uint{dtype().itemsize * 8}_t", threshold.astype(dtype)), Constant("flip", "uint32_t", flips))


def _saturate(form: Fixed) -> str:
    """Instruction and width that clip to the form's limits: "usat, 8", "ssat, 8", "sym, 8" (-127 to 127); "" if none does."""
    bits = form.hi.bit_length()
    if form.hi + 1 != 1 << bits or bits < 1:
        return ""
    if form.lo == 0:
        return f"usat, {bits}"
    if form.lo == -form.hi - 1:
        return f"ssat, {bits + 1}"
    return "sym, 8" if (form.lo, form.hi) == (-127, 127) else ""
