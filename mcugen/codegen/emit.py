"""Calls and plan -> the texts of model.h and model.c; touches no disk."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass, replace
from functools import cache
from typing import Any

import jinja2
import numpy as np

from mcugen import __version__
from mcugen.codegen.body import Body, share_functions, share_tables, tables_bytes
from mcugen.codegen.stage import c_float, make_stage
from mcugen.errors import McugenError
from mcugen.ir import Graph, Node, TensorType
from mcugen.ops.base import Call
from mcugen.plan import Plan
from mcugen.resources import data_dir
from mcugen.shapes import image


@dataclass(frozen=True)
class Sources:
    """Generated files by name, and the C function of every call that has one, in order.

    saved_bytes: of flash, because identical tables are stored once.
    """

    files: Mapping[str, str]
    model: str
    steps: Mapping[str, str]
    digest: str
    saved_bytes: int = 0


@cache
def environment() -> jinja2.Environment:
    """Jinja as all templates expect it: undefined names are errors, block tags leave no lines."""
    return jinja2.Environment(
        loader=jinja2.FileSystemLoader(str(data_dir("templates"))),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,
    )


def emit(graph: Graph, calls: Sequence[Call], plan: Plan, digest: str) -> Sources:
    """The model as C; identifiers start with the model's name, so several models can share an image.

    digest: `graph_digest` of the graph that gives the model its meaning, whatever was reshaped for its kernels.
    """
    model = identifier(graph.name)
    env = environment()
    names = {call.node.name: f"{model}_s{i:02d}_{identifier(call.node.name)}" for i, call in enumerate(calls)}
    computing = [call for call in calls if call.kernel.template]
    rendered = {names[call.node.name]: _render(env, call, names[call.node.name]) for call in computing}
    bodies, names = share_functions(rendered, names)
    bodies = share_tables(bodies)
    saved = tables_bytes(rendered.values()) - tables_bytes(bodies)
    steps = {call.node.name: names[call.node.name] for call in computing}
    context = {
        "version": __version__,
        "model": model,
        "title": graph.name,
        "digest": [f"0x{byte:02x}" for byte in bytes.fromhex(digest)[:16]],
        "digest_hex": digest[:32],
        "bodies": [str(body) for body in bodies],
        "runs": [_invocation(call, names[call.node.name], plan) for call in computing],
        "inputs": [_descriptor(graph[name], plan) for name in graph.inputs],
        "outputs": [_descriptor(graph[name], plan) for name in graph.outputs],
        "steps": [_descriptor(call.node, plan) for call in computing],
        "banks": [{"name": bank, "bytes": plan.bank_bytes(bank)} for bank in plan.banks],
    }
    files = {name: _template(env, f"{name}.j2", context) for name in ("model.h", "model.c")}
    return Sources(files, model, steps, digest, saved)


def identifier(name: str) -> str:
    """A C identifier made of a layer's or model's name."""
    text = re.sub(r"\W", "_", name, flags=re.ASCII)
    return text if re.match(r"[A-Za-z]", text) else f"m_{text}"


def _template(env: jinja2.Environment, name: str, context: Mapping[str, Any]) -> str:
    try:
        return env.get_template(name).render(context)
    except jinja2.TemplateError as error:
        line = getattr(error, "lineno", None)
        raise McugenError(f"templates/{name}{f':{line}' if line else ''}", str(error), "report this as a bug") from error


def _render(env: jinja2.Environment, call: Call, name: str) -> Body:
    node, sources = call.node, call.sources
    if call.kernel.parts:
        return _render_parts(env, call, name)
    stage = make_stage(node, sources, name, call.kernel.asked_channels(node, sources)) if "epilogue" in node.attrs else None
    context: dict[str, Any] = {
        "name": name,
        "layer": node.name,
        "kernel": call.kernel.name,
        "arguments": _arguments(node, sources, call.scratch_bytes, by_rows=call.kernel.band_rows > 0),
        "in_type": sources[0].c_type,
        "in_stride": sources[0].stride,
        "out_type": node.type.c_type,
        "bits": node.type.layout == "words",
        "packed": node.type.layout == "packed",
        "lowest": _lowest(sources[0]),
        "load": lambda pointer, index: _load(sources[0], pointer, index, bool(node.attrs.get("sign_input"))),
        "element": lambda pixel, c: _element(sources[0], "in", pixel, c),
        "finished": lambda pixel, c, value: _finished(node, sources, stage is not None, name, pixel, c, value),
        "put": lambda pixel, c, value: _put(node.type, pixel, c, value),
        "store": lambda pixel, c, value: _put(
            node.type, pixel, c, _finished(node, sources, stage is not None, name, pixel, c, value)
        ),
        "operand": lambda k, pixel, c: _element(sources[k], f"in{k}" if k else "in", pixel, c),
        "stage": stage,
        "by_rows": call.kernel.band_rows > 0,
        **_rows(call),
        **call.kernel.params(node, sources),
    }
    context.setdefault("end_row", context.get("out_h"))
    for part, source, argument in zip(context.get("parts", ()), sources, _inputs(sources), strict=False):
        part["load"] = _element(source, argument, "pixel", "c")
    text = _template(env, f"kernels/{call.kernel.template}", context)
    tables = [replace(constant, name=f"{name}_{constant.name}") for constant in call.constants]
    tables += [table for table in (stage.tables if stage else ()) if re.search(rf"\b{table.name}\b", text)]
    return Body(f"/* {node.name}: {node.op}, kernel {call.kernel.name} */\n", tuple(tables), text)


def _render_parts(env: jinja2.Environment, call: Call, name: str) -> Body:
    """A chain by bands of rows: the parts' functions, which take the rows to compute, then the one that calls them."""
    bodies = [_render(env, part, f"{name}_p{i}") for i, part in enumerate(call.kernel.parts)]
    arguments = _arguments(call.node, call.sources, call.scratch_bytes)
    context = {"name": name, "arguments": arguments, **call.kernel.params(call.node, call.sources)}
    text = _template(env, f"kernels/{call.kernel.template}", context)
    tables = tuple(table for body in bodies for table in body.tables)
    return Body("", tables, "\n".join([*(body.comment + body.text for body in bodies), text]))


def _rows(call: Call) -> dict[str, str]:
    """The rows and pixels of the output that a function computes: all, or those of its last two arguments."""
    height, width, _ = image(call.node.type.shape)
    if call.kernel.band_rows:
        pixels = {"first_pixel": f"row_begin * {width}", "end_pixel": f"row_end * {width}"}
        return {"first_row": "row_begin", "end_row": "row_end", **pixels}
    return {"first_row": "0", "first_pixel": "0", "end_pixel": str(height * width)}


def _inputs(sources: Sequence[TensorType]) -> list[str]:
    return ["in", *(f"in{k}" for k in range(1, len(sources)))]


def _arguments(node: Node, sources: Sequence[TensorType], scratch: int, by_rows: bool = False) -> str:
    parts = [f"const {s.c_type} *{n}" for s, n in zip(sources, _inputs(sources), strict=True)]
    parts.append(f"{node.type.c_type} *out")
    parts += ["void *scratch"] if scratch else []
    return ", ".join([*parts, *(["int32_t row_begin", "int32_t row_end"] if by_rows else [])])


def _lowest(kind: TensorType) -> str:
    return c_float(float(np.finfo(np.float32).min)) if kind.kind == "float" else str(kind.lo)


def _load(kind: TensorType, pointer: str, index: str, sign: bool = False) -> str:
    if sign:
        return f"({pointer}[{index}] < 0 ? -1 : 1)"
    if kind.layout == "packed":
        return f"mcu_{'weight' if kind.signed else 'field'}{kind.bits}({pointer}, {index})"
    return f"mcu_get_sign({pointer}, {index})" if kind.layout == "words" else f"{pointer}[{index}]"


def _element(kind: TensorType, pointer: str, pixel: str, c: str) -> str:
    """A stored code; of a bit 0 or 1."""
    if kind.layout == "words":
        return f"mcu_get_bit({pointer} + ({pixel}) * {kind.stride}, {c})"
    if kind.layout == "packed":
        return _load(kind, f"{pointer} + ({pixel}) * {kind.stride}", c)
    return f"{pointer}[({pixel}) * {kind.channels} + {c}]"


def _finished(
    node: Node, sources: Sequence[TensorType], staged: bool, name: str, pixel: str, c: str, value: str
) -> str:
    """The code of channel `c` of `pixel`; staged values pass through NAME_out."""
    if not staged:
        return value
    others = []
    for k, kind in enumerate(sources[1:], 1):
        text = _element(kind, f"in{k}", pixel, c)
        others.append(f", (int32_t)({text}) * 2 - 1" if kind.layout == "words" else f", {text}")
    others += [", count"] if "counts" in node.attrs else []
    return f"{name}_out({value}, {c}{''.join(others)})"


def _put(kind: TensorType, pixel: str, c: str, value: str) -> str:
    """The statement that stores the code of channel `c` of `pixel`."""
    if kind.layout == "words":
        return f"mcu_put_bit(out + ({pixel}) * {kind.stride}, {c}, (int32_t)({value}));"
    if kind.layout == "packed":
        return f"mcu_put_field(out + ({pixel}) * {kind.stride}, {c}, {value}, {kind.bits}, {int(kind.whole)});"
    return f"out[({pixel}) * {kind.channels} + {c}] = ({kind.c_type}){value};"


def _invocation(call: Call, name: str, plan: Plan) -> str:
    places = plan.of

    def pointer(tensor: str, c_type: str) -> str:
        place = places[tensor]
        return f"({c_type} *)(void *)(banks[{plan.banks.index(place.bank)}] + {place.offset})"

    parts = [pointer(n, f"const {s.c_type}") for n, s in zip(call.node.inputs, call.sources, strict=True)]
    parts.append(pointer(call.node.name, call.node.type.c_type))
    if call.scratch_bytes:
        parts.append(pointer(f"{call.node.name}/scratch", "void"))
    return f"{name}({', '.join(parts)})"


def _descriptor(node: Node, plan: Plan) -> dict[str, Any]:
    kind, place = node.type, plan.of[node.name]
    letter = "FLOAT" if kind.kind == "float" else "BITS" if kind.layout == "words" else "INT" if kind.signed else "UINT"
    dims = [*kind.shape, 1, 1, 1, 1][:4]
    return {
        "name": node.name, "kind": letter, "bits": kind.bits, "bank": plan.banks.index(place.bank),
        "n_dims": len(kind.shape), "dims": dims, "offset": place.offset, "bytes": kind.bytes,
        "scale": c_float(kind.scale), "scale_text": f"{kind.scale:.9g}", "c_type": kind.c_type,
    }  # fmt: skip


def graph_digest(graph: Graph) -> str:
    """SHA-256 (hex) over everything that decides the outputs: operators, wiring, types, integers, float constants."""
    digest = hashlib.sha256(b"mcugen graph 1")
    for node in graph.nodes:
        _feed(digest, (node.name, node.op, node.inputs, node.type, node.attrs))
    _feed(digest, (graph.inputs, graph.outputs))
    return digest.hexdigest()


def _feed(digest: Any, value: Any) -> None:
    if isinstance(value, np.ndarray):
        digest.update(f"array {value.dtype} {value.shape}".encode() + np.ascontiguousarray(value).tobytes())
    elif is_dataclass(value) and not isinstance(value, type):
        digest.update(type(value).__name__.encode())
        _feed(digest, {field.name: getattr(value, field.name) for field in fields(value) if field.compare})
    elif isinstance(value, Mapping):
        for key in sorted(value):
            digest.update(f"key {key}".encode())
            _feed(digest, value[key])
    elif isinstance(value, tuple | list):
        digest.update(f"list {len(value)}".encode())
        for item in value:
            _feed(digest, item)
    else:
        digest.update(f"{type(value).__name__} {value!r};".encode())
