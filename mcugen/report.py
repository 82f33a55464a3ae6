"""What a build says of itself: one dictionary (report.json), and the same as a table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from mcugen import __version__
from mcugen.budget import LayerSize, Limits, flash_bytes, flash_limit, ram_bytes, ram_limit
from mcugen.numerics.exactness import doubts, promised, proof
from mcugen.numerics.tf_float import rsqrt_source
from mcugen.ops import OPERATORS
from mcugen.pipeline import Compiled
from mcugen.simplify.dead_channels import dropped
from mcugen.toolchain import Image

SCHEMA = 1


def make_report(compiled: Compiled, image: Image, sizes: Sequence[LayerSize], limits: Limits) -> dict[str, Any]:
    """Everything measured and proved, ready for JSON. Bytes throughout."""
    board, graph = compiled.board, compiled.graph
    flash, ram = flash_bytes(image.used, board), ram_bytes(image.used, board)
    over = flash > flash_limit(board, limits) or ram > ram_limit(board, limits)
    return {
        "schema": SCHEMA,
        "mcugen": __version__,
        "model": graph.name,
        "digest": compiled.sources.digest[:32],
        "source_digest": graph.digest,
        "board": board.name,
        "toolchain": image.toolchain,
        "fits": not over,
        "flash": {"used": flash, "limit": flash_limit(board, limits), "saved_by_sharing": compiled.sources.saved_bytes},
        "ram": {"used": ram, "limit": ram_limit(board, limits)},
        "regions": [
            {"name": r.name, "used": image.used[r.name], "size": r.size} for r in board.regions if image.used[r.name]
        ],
        "arena": {
            "bytes": compiled.plan.arena_bytes,
            "lower_bound": compiled.plan.lower_bound,
            "banks": {bank: compiled.plan.bank_bytes(bank) for bank in compiled.plan.banks},
        },
        "stack_bytes": board.limits.get("stack_bytes"),
        "rsqrt": rsqrt_source(),
        "layers": _layers(compiled, sizes),
    }


def _layers(compiled: Compiled, sizes: Sequence[LayerSize]) -> list[dict[str, Any]]:
    by_name, why, sure = {size.layer: size for size in sizes}, doubts(compiled.graph), promised(compiled.graph)
    rows = []
    for call in compiled.calls:
        node, size, proved = call.node, by_name[call.node.name], proof(call.node)
        rows.append(
            {
                "name": node.name,
                "op": node.op,
                "kernel": call.kernel.name,
                "output": list(node.type.shape),
                "type": node.type.stored,
                "macs": sum(OPERATORS[part.node.op].macs(part.node, part.sources) for part in call.parts),
                "weight_bytes": size.weights,
                "table_bytes": size.tables,
                "code_bytes": size.code,
                "arena_bytes": size.arena,
                "channels_proved": proved[0] if proved else None,
                "channels": proved[1] if proved else None,
                "channels_left_out": sum(dropped(part.node) for part in call.parts),
                "equals_qkeras": node.name in sure,
                "doubts": list(why[node.name]),
                "differing_accumulators": 0 if node.name in sure else None,
            }
        )
    return rows


def table(header: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Aligned columns; numbers right, text left, thousands separated."""
    texts = [[f"{cell:,}" if isinstance(cell, int) else str(cell) for cell in row] for row in rows]
    numeric = [all(isinstance(row[i], int) or row[i] == "" for row in rows) for i in range(len(header))]
    widths = [max(len(header[i]), *(len(row[i]) for row in texts), 0) if texts else len(header[i]) for i in range(len(header))]

    def line(cells: Sequence[str]) -> str:
        padded = (c.rjust(w) if n else c.ljust(w) for c, w, n in zip(cells, widths, numeric, strict=True))
        return "  ".join(padded).rstrip()

    return "\n".join([line(header), line(["-" * w for w in widths]), *map(line, texts)])


def text(report: Mapping[str, Any]) -> str:
    """The report as people read it."""
    rows = [
        (
            each["name"], each["op"], each["kernel"], "x".join(map(str, each["output"])), each["macs"], each["weight_bytes"],
            each["table_bytes"], each["code_bytes"], each["arena_bytes"], _proof_text(each),
        )
        for each in report["layers"]
    ]  # fmt: skip
    header = ("layer", "operator", "kernel", "output", "MACs", "weights", "tables", "code", "RAM", "equal to QKeras")
    regions = [(r["name"], r["used"], r["size"], f"{100 * r['used'] / r['size']:.1f}%") for r in report["regions"]]
    flash, ram, arena = report["flash"], report["ram"], report["arena"]
    saved, gone = flash["saved_by_sharing"], sum(each["channels_left_out"] for each in report["layers"])
    return "\n".join(
        [
            f"{report['model']} for {report['board']}, built with {report['toolchain']}, digest {report['digest']}",
            "",
            table(header, rows),
            "",
            table(("memory", "used", "size", "share"), regions),
            "",
            f"flash {flash['used']:,} of {flash['limit']:,} bytes; RAM {ram['used']:,} of {ram['limit']:,} bytes",
            f"arena {arena['bytes']:,} bytes (no plan needs less than {arena['lower_bound']:,}), stack {report['stack_bytes']:,}",
            *([f"identical tables are stored once, {saved:,} bytes less; each counts in the first layer"] if saved else []),
            *([f"{gone:,} channels that are constant or that nobody reads are left out"] if gone else []),
            "fits" if report["fits"] else "DOES NOT FIT",
        ]
    )


def _proof_text(layer: Mapping[str, Any]) -> str:
    if layer["doubts"]:
        return "not promised: " + "; ".join(layer["doubts"])
    if layer["channels"] is None:
        return "exact"
    proved, channels = layer["channels_proved"], layer["channels"]
    if proved == channels:
        return f"exact, {proved} of {channels} channels proved in fixed point"
    return f"exact, {proved} of {channels} channels in fixed point, {channels - proved} in float32"
