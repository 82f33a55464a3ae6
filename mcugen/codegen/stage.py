"""Output stages as C: the finished tables and statements that templates/output.c.j2 prints. Twin of epilogue.py."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mcugen.ir import Array, Node, TensorType
from mcugen.numerics.epilogue import Epilogue, Fixed, Raw, Step, Threshold
from mcugen.numerics.narrow import Narrow, Pair, c_int
from mcugen.ops.base import Constant
from mcugen.simplify.fold_scales import fold_scales


@dataclass(frozen=True)
class Stage:
    """What output.c.j2 needs: `steps` computes in float32, `body` in integers where that is proved equal.

    form: "fixed", "threshold", "raw" or "float"; all_fixed: no channel needs the float steps.
    """

    name: str
    form: str
    all_fixed: bool
    acc_type: str
    value_type: str
    parameters: str
    tables: tuple[Constant, ...]
    steps: tuple[str, ...]
    body: tuple[str, ...]


def make_stage(node: Node, sources: Sequence[TensorType], name: str, asked: Array | None = None) -> Stage:
    """The stage of one node; `name` prefixes its C identifiers.

    asked: bool (channels,), the only channels that the kernel passes to the stage (None: all); they are then computed by
    the float32 steps, which equal every proved form, so that no second table of that form is needed.
    """
    epilogue: Epilogue = node.attrs["epilogue"]
    asked = asked if asked is not None and asked.any() else None
    form = epilogue.form if asked is None else None
    operands = sources[1:]
    parameters = "".join(f", {operand_type(kind)} r{k}" for k, kind in enumerate(operands, 1))
    names = [f"r{k}" for k in range(1, len(operands) + 1)]
    if "counts" in node.attrs:
        parameters += ", int32_t count"
        names.append("count")
    acc_type = "float" if sources[0].kind == "float" else "int64_t" if node.wide else "int32_t"
    value_type = "float" if node.type.kind == "float" else "int32_t"
    tables: list[Constant] = []
    steps: tuple[str, ...] = ()
    needs_float = form is None or (isinstance(form, Fixed) and not form.proved.all())
    if needs_float:
        chosen = np.flatnonzero(~form.proved) if isinstance(form, Fixed) else None
        chosen = np.flatnonzero(asked) if asked is not None else chosen
        steps = _float_steps(epilogue, node.type, sources, name, chosen, tables)
    arguments = "".join(f", {argument}" for argument in names)
    call = f"{name}_steps(acc, c{arguments})"
    body = _body(form, name, epilogue, call, tables)
    kind = {Fixed: "fixed", Threshold: "threshold", Raw: "raw"}.get(type(form), "float")
    fixed = kind == "fixed" and not needs_float
    unused = tuple(f"(void){argument};" for argument in names)
    if not any(f"{name}_slot" in line for line in (*steps, *body)):
        tables = [table for table in tables if table.name != f"{name}_slot"]
    return Stage(name, kind, fixed, acc_type, value_type, parameters, tuple(tables), steps, unused + body)


def operand_type(kind: TensorType) -> str:
    """C type by which an operand's element reaches the stage: its code, or its float value."""
    return "float" if kind.kind == "float" else "int32_t"


def _body(form: object, name: str, epilogue: Epilogue, call: str, tables: list[Constant]) -> tuple[str, ...]:
    if isinstance(form, Raw):
        factor, bias = _numbers(tables, f"{name}_out_factor", form.factor), _numbers(tables, f"{name}_out_bias", form.bias)
        return (f"return acc * {factor} + {bias};",)
    if isinstance(form, Threshold):
        threshold = _numbers(tables, f"{name}_out_threshold", form.threshold)
        if not form.flip.any():
            return (f"return acc >= {threshold};",)
        flip = _numbers(tables, f"{name}_out_flip", form.flip.astype(np.int64))
        return (f"return (acc >= {threshold}) ^ {flip};",)
    if not isinstance(form, Fixed):
        return (f"return {call};",)
    lines = []
    if not form.proved.all():
        count = int(np.count_nonzero(~form.proved))
        lines.append(f"if ({name}_slot[c] != {np.iinfo(_slot_type(count)).max}) return {call};")
    pair = Pair.of(form.mult, form.offset)
    tables += pair.constants(f"{name}_out_line")
    mult, offset = (pair.at(which, f"{name}_out_line", "c") for which in (0, 1))
    total = f"{offset} + mcu_scale(acc, {1 << form.pre}, {mult})"
    if form.residual_shift is not None and epilogue.residual is not None:
        total += f" + r{epilogue.residual.operand} * {1 << form.residual_shift}"
    shifted = f"mcu_shift_even({total}, {form.post})" if form.even else f"({total}) >> {form.post}"
    return (*lines, f"return mcu_clip({shifted}, {form.lo}, {form.hi});")


def _slot_type(count: int) -> type[np.uint8] | type[np.uint16]:
    """Holds the numbers of `count` channels, and its largest value for the others."""
    return np.uint8 if count < 256 else np.uint16


def _numbers(tables: list[Constant], name: str, values: Array) -> str:
    """An expression for channel c's whole number, from the narrowest table; a literal where all channels agree."""
    narrow = Narrow.of(values)
    tables += narrow.constants(name)
    return narrow.at(name, "c")


def _entry(tables: list[Constant], name: str, values: Array, index: str) -> str:
    """An expression for a channel's float; a literal where all channels agree."""
    flat = np.asarray(values).reshape(-1)
    if (flat == flat[0]).all():
        return c_float(float(flat[0]))
    tables.append(Constant(name, "float", flat))
    return f"{name}[{index}]"


def _float_steps(
    epilogue: Epilogue, kind: TensorType, sources: Sequence[TensorType], name: str, chosen: Array | None, tables: list[Constant]
) -> tuple[str, ...]:
    """C statements on `v`, one rounding each; constants only of the `chosen` channels (all if None)."""
    index = "c"
    lines: list[str] = []
    if chosen is not None:
        of = _slot_type(chosen.size)
        slots = np.full(kind.channels, np.iinfo(of).max, of)
        slots[chosen] = np.arange(chosen.size)
        tables.append(Constant(f"{name}_slot", f"{np.dtype(of).name}_t", slots))
        index = f"{name}_slot[c]"
    steps, factor = fold_scales(epilogue.steps, sources)
    for number, step in enumerate(steps):
        if step.kind == "quantize":
            if factor is not None and not (factor == 1).all():
                few = factor[chosen] if chosen is not None and factor.ndim else factor
                lines.append(f"v = v * {_entry(tables, f'{name}_k{number}_scale', few, index)};")
            return (*lines, _quantize(step, kind, f"{name}_k{number}", tables, scaled=factor is not None))
        if step.kind == "codes":
            assert step.quantizer is not None
            lo, hi = step.quantizer.lo, step.quantizer.hi
            lines.append(f"v = (float){_codes(step, lo, hi, f'{name}_k{number}', tables)};")
            continue
        lines.append(_statement(step, sources[1:], f"{name}_k{number}", index, chosen, tables))
    return (*lines, "return v;")


def _statement(
    step: Step, operands: Sequence[TensorType], name: str, index: str, chosen: Array | None, tables: list[Constant]
) -> str:
    sign = {"mul": "*", "div": "/", "add": "+", "sub": "-"}.get(step.kind.removesuffix("_tensor"), "")
    if step.kind == "div_count":
        return "v = v / (float)count;"
    if step.kind.endswith("_tensor"):
        kind, value = operands[step.operand - 1], f"r{step.operand}"
        if kind.kind == "int":
            scale = float(np.float32(kind.scale)) if step.value is None else float(step.constant)
            value = f"(float){value}" if scale == 1 else f"((float){value} * {c_float(scale)})"
        if not sign:
            return f"v = v {'>' if step.kind == 'max_tensor' else '<'} {value} ? v : {value};"
        return f"v = v {sign} {value};"
    if step.kind == "clip":
        lo, hi = (float(x) for x in step.constant)
        low = f"v = v < {c_float(lo)} ? {c_float(lo)} : v;" if np.isfinite(lo) else ""
        return low + (f" v = v > {c_float(hi)} ? {c_float(hi)} : v;" if np.isfinite(hi) else "")
    constant = step.constant
    if chosen is not None and constant.ndim:
        constant = constant[chosen]
    text = _entry(tables, name, constant, index)
    return f"v = v >= 0.0f ? v : v * {text};" if step.kind == "slope" else f"v = v {sign} {text};"


def _quantize(step: Step, kind: TensorType, name: str, tables: list[Constant], scaled: bool) -> str:
    bit = " > 0" if kind.bipolar else ""
    return f"return {_codes(step, kind.lo, kind.hi, name, tables, scaled)}{bit};"


def _codes(step: Step, lo: int, hi: int, name: str, tables: list[Constant], scaled: bool = False) -> str:
    """The expression for v's code, between lo and hi; scaled: v needs only to be rounded."""
    table = step.table
    if step.rounding is not None:
        rounder = "mcu_round_clip" if max(-lo, hi) < 1 << 21 else "mcu_round_clip_wide"
        value = "v" if scaled else f"v * {c_float(step.rounding)}"
        return f"{rounder}({value}, {c_float(lo)}, {c_float(hi)})"
    assert table is not None
    if not table.breakpoints.size:
        return f"{int(table.codes[0])}"
    tables.append(Constant(f"{name}_breaks", "float", table.breakpoints))
    count = f"mcu_count_below(v, {name}_breaks, {table.breakpoints.size})"
    if (np.diff(table.codes) == 1).all():
        return f"({int(table.codes[0])} + {count})"
    codes = Narrow.of(table.codes, shifts=False)
    tables += codes.constants(f"{name}_codes")
    return codes.at(f"{name}_codes", count)


def c_float(value: float) -> str:
    """Exact C99 literal of a float32."""
    text = float(np.float32(value)).hex() + "f"
    return f"({text})" if value < 0 else text


def declaration(table: Constant, per_line: int = 12) -> str:
    """The table as a C array, several elements a line."""
    texts = [c_float(float(v)) if table.c_type == "float" else c_int(int(v)) for v in table.values]
    rows = ",\n".join("    " + ", ".join(texts[i : i + per_line]) for i in range(0, len(texts), per_line))
    return f"static const {table.c_type} {table.name}[{len(texts)}] MCU_ALIGN({table.align}) = {{\n{rows}\n}};\n"
