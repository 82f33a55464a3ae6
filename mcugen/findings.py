"""What a user should know of an accepted model: what is inexact, what is float, which bits are wasted."""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np

from mcugen.epilogue import Epilogue, Fixed
from mcugen.exactness import doubts, proof
from mcugen.ir import Graph, Node


@dataclass(frozen=True)
class Finding:
    """kind: "refused", "inexact", "float" or "wasted"; the layer, the cause and the change that mends it."""

    kind: str
    layer: str
    cause: str
    remedy: str

    def json(self) -> dict[str, str]:
        return asdict(self)


def find(graph: Graph) -> list[Finding]:
    """Findings in the order of the graph."""
    why = doubts(graph)
    found: list[Finding] = []
    for node in graph.nodes:
        found += [Finding("inexact", node.name, cause, _remedy(cause)) for cause in why[node.name]]
        found += _floats(node, graph)
        found += _wasted(node)
    return found


def _remedy(cause: str) -> str:
    if "weight scale" in cause:
        return "use alpha=1 or alpha='auto_po2' in its kernel quantizer"
    if "step" in cause:
        return "use a power of two for alpha in its activation quantizer"
    return "use fewer bits or fewer inputs a sum"


def _floats(node: Node, graph: Graph) -> list[Finding]:
    if node.type.kind == "float" and node.name not in graph.outputs:
        return [Finding("float", node.name, "its result is stored as float32", "put a QActivation after it to save RAM and time")]
    proved = proof(node)
    if proved is not None and proved[0] < proved[1]:
        cause = f"{proved[1] - proved[0]} of {proved[1]} channels have no exact fixed-point form and finish in float32"
        return [Finding("float", node.name, cause, "nothing needs to change; the result is exact")]
    return []


def _wasted(node: Node) -> list[Finding]:
    found = []
    if "weights" in node.attrs:
        weights = node.attrs["weights"]
        axis = (0, 1, 2) if node.op == "conv2d" else (0, 1)
        dead = int((weights == 0).all(axis=axis).sum())
        if dead:
            found.append(Finding("wasted", node.name, f"{dead} output channels have only zero weights", "prune these channels"))
        kind = node.attrs["weight_type"]
        used = int(np.unique(weights).size)
        if not kind.bipolar and used <= (kind.hi - kind.lo + 1) // 4 and kind.hi - kind.lo >= 15:
            cause = f"its weights use {used} of {kind.hi - kind.lo + 1} levels"
            found.append(Finding("wasted", node.name, cause, "use fewer bits in its kernel quantizer"))
    epilogue: Epilogue | None = node.attrs.get("epilogue")
    if epilogue is not None and isinstance(epilogue.form, Fixed) and "acc_lo" in node.attrs:
        constant = int((epilogue.form.proved & (epilogue.form.mult == 0)).sum())
        if constant:
            cause = f"{constant} output channels are constant (gamma is zero)"
            found.append(Finding("wasted", node.name, cause, "prune these channels"))
    return found
