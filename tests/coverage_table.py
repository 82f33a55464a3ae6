"""Makes docs/coverage.md: every layer and quantizer at every width, compiled and compared with QKeras.

    python tests/coverage_table.py > docs/coverage.md
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

from mcugen.load.classes import CLASSES, REFUSED  # noqa: E402
from mcugen.quantizers.parse import KINDS  # noqa: E402
from mcugen.quantizers.parse import REFUSED as REFUSED_QUANTIZERS  # noqa: E402
from tests.fuzzing.cells import Cells  # noqa: E402
from tests.fuzzing.coverage import (  # noqa: E402
    ACTIVATIONS,
    INPUT_KINDS,
    LAYERS,
    OPTIONS,
    PLACES,
    RECURRENT,
    RECURRENT_OPTIONS,
    WEIGHTED,
    WEIGHTS,
    WIRINGS,
    Branch,
    branch,
    optioned,
    recurrent,
    wiring,
)

INTRO = """# What is supported

Made by `python tests/coverage_table.py > docs/coverage.md`: each cell is a small model, compared with QKeras 0.9.0 in the
golden environment and with the compiled C. **exact**: bit for bit equal to QKeras, and promised so. **1 LSB**: not
promised, because scales are no powers of two, sums pass 2^24, or a last layer uses the device's own float functions
(`mcugen check` names the reason); given equal inputs no code is more than one level off, no such float by more than
2^-16 (in brackets how many were off, of all). **refused** with the message of that number below the tables.
The C always equals the reference bit for bit.
"""


def table(corner: str, columns: Sequence[str], rows: Sequence[tuple[str, Sequence[str]]]) -> str:
    lines = ["| " + " | ".join([corner, *columns]) + " |", "|" + "---|" * (len(columns) + 1)]
    for name, cells in rows:
        assert all(cells) and len(cells) == len(columns), name
        lines.append("| " + " | ".join([name, *cells]) + " |")
    return "\n".join(lines)


def shown(quantizer: object) -> str:
    if isinstance(quantizer, dict):
        inside = ", ".join(f"{key}={value}" for key, value in quantizer["config"].items())
        return f"`{quantizer['class_name']}({inside})`"
    return f"`{quantizer}`"


def said(column: str, cells: list[str]) -> list[str]:
    """The cells; tells on standard error that a column is done."""
    print(column, file=sys.stderr, flush=True)
    return cells


def nothing_is_missing() -> None:
    """Every class and every quantizer that the loader reads has a row."""
    known = {name.split("(")[0].split(" ")[0] for name in (*WEIGHTED, *RECURRENT, *LAYERS)} | {"InputLayer", "QActivation"}
    assert set(CLASSES) <= known, set(CLASSES) - known
    tried = {str(q["class_name"] if isinstance(q, dict) else q).split("(")[0] for q in (*WEIGHTS, *ACTIVATIONS)}
    assert set(KINDS) <= tried, set(KINDS) - tried


def main() -> None:
    nothing_is_missing()
    parts = [INTRO]
    with Cells() as cells:
        results = {name: said(name, cells.run([branch(name, weights=w) for w in WEIGHTS])) for name in WEIGHTED}
        rows = [(shown(w), [results[name][i] for name in WEIGHTED]) for i, w in enumerate(WEIGHTS)]
        parts += ["## Layers with weights, by kernel quantizer", "Inputs and outputs of 8 bits, a quantized bias.",
                  table("kernel quantizer", [f"`{name}`" for name in WEIGHTED], rows)]  # fmt: skip
        optional = {name: [optioned(name, option) for option in OPTIONS] for name in WEIGHTED}
        results = {name: said(f"{name} options", options(cells, made)) for name, made in optional.items()}
        rows = [(f"`{option}`", [results[name][i] for name in WEIGHTED]) for i, option in enumerate(OPTIONS)]
        parts += ["## Layers with weights, by setting",
                  "4-bit weights, inputs and outputs of 8 bits. -: not in Keras, or TensorFlow fails on it.",
                  table("setting", [f"`{name}`" for name in WEIGHTED], rows)]  # fmt: skip
        placed = {place: said(place, cells.run([branch(place, activation=a) for a in ACTIVATIONS])) for place in PLACES}
        rows = [(shown(a), [placed[place][i] for place in PLACES]) for i, a in enumerate(ACTIVATIONS)]
        parts += ["## Activation quantizers, by place", table("quantizer", list(PLACES), rows)]
        kinds = {kind: said(kind, cells.run([branch(name, source=kind) for name in LAYERS])) for kind in INPUT_KINDS}
        rows = [(f"`{name}`", [kinds[kind][i] for kind in INPUT_KINDS]) for i, name in enumerate(LAYERS)]
        parts += ["## Other layers, by what they read", "A convolution of 4-bit weights and an 8-bit quantizer follow.",
                  table("layer", list(INPUT_KINDS), rows)]  # fmt: skip
        parts += recurrent_layers(cells)
        built = [(name, [cells.whole(wiring(name, form)) for form in ("h5", "keras")]) for name in WIRINGS]
        parts += ["## Ways to build a model, by file", "SavedModel and JSON with weights: docs/loading.md.",
                  table("model", [".h5", ".keras"], built)]  # fmt: skip
        parts += ["## Refusals", "\n".join(f"{n}. {text}" for text, n in cells.messages.items())]
    parts += ["## Always refused", refused()]
    print("\n\n".join(parts))


def recurrent_layers(cells: Cells) -> list[str]:
    made = {name: [recurrent(name, option) for option in RECURRENT_OPTIONS] for name in RECURRENT}
    results = {name: said(name, options(cells, branches)) for name, branches in made.items()}
    rows = [(f"`{option}`", [results[name][i] for name in RECURRENT]) for i, option in enumerate(RECURRENT_OPTIONS)]
    return ["## Recurrent layers, by setting",
            "8 time steps, 4-bit weights, an 8-bit state, quantized_tanh(6), quantized_sigmoid(5). -: not in QKeras, or fails.",
            table("setting", [f"`{name}`" for name in RECURRENT], rows)]  # fmt: skip


def options(cells: Cells, branches: Sequence[Branch | None]) -> list[str]:
    """A column of a table of settings."""
    texts = iter(cells.run([branch for branch in branches if branch is not None]))
    return ["-" if branch is None else next(texts) for branch in branches]


def refused() -> str:
    rows = [(f"`{name}`", [fact, remedy]) for name, (fact, remedy) in {**REFUSED, **REFUSED_QUANTIZERS}.items()]
    return table("layer or quantizer", ["because it", "instead"], rows)


if __name__ == "__main__":
    main()
