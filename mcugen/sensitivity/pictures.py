"""The two figures: score against bits by block with the weights below, and footprint against score."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib

from mcugen.commands.pictures import save
from mcugen.evaluate.pictures import COLOURS
from mcugen.sensitivity.study import Score, Study

matplotlib.use("Agg")
import matplotlib.pyplot as plt

MARKS = "osD^vP"


def draw_blocks(study: Study, path: Path) -> None:
    """Above: the score with one block quantized, a line a number of bits. Below: weights of each block (logarithmic)."""
    figure, (above, below) = plt.subplots(2, 1, figsize=(9, 6), sharex=True, height_ratios=(2, 1))
    names = [block.name for block in study.blocks]
    for index, bits in enumerate(sorted({bits for _, bits in study.single}, reverse=True)):
        found = [(place, _shown(study.single[name, bits])) for place, name in enumerate(names) if (name, bits) in study.single]
        label = f"{bits} bits" if bits > 1 else "1 bit"
        above.plot(*zip(*found, strict=True), marker=MARKS[index % 6], color=COLOURS[index % 6], label=label)
    above.axhline(_shown(study.float_score), color="0.5", linestyle="--", label="float")
    above.set(ylabel=_label(study), title="one block quantized, the rest float")
    above.legend(fontsize=8)
    above.grid(alpha=0.3)
    below.bar(range(len(names)), [block.weights for block in study.blocks], color=COLOURS[0])
    below.set(yscale="log", ylabel="weights")
    fixed = [f"{block.name} ({block.fixed_bits} bit)" if block.fixed_bits else block.name for block in study.blocks]
    below.set_xticks(range(len(names)), fixed, rotation=70 if len(names) > 12 else 0, fontsize=8)
    save(figure, path)


def draw_footprint(study: Study, path: Path) -> None:
    """Packed weight bits against score, a point a mixture; the Pareto front is a line."""
    figure, axes = plt.subplots(figsize=(8, 5))
    for name, (_, score) in study.mixed.items():
        known = not name.startswith("step ")
        place = (study.footprint(name) / 1e6, _shown(score))
        axes.plot(*place, "s" if known else "o", color=COLOURS[1] if known else COLOURS[0])
        if known:
            axes.annotate(name, place, (5, -11), textcoords="offset points", fontsize=8)
    front = sorted((study.footprint(name) / 1e6, _shown(study.mixed[name][1])) for name in study.pareto)
    axes.plot(*zip(*front, strict=True), color="0.5", linewidth=1, label="Pareto front")
    axes.axhline(_shown(study.float_score), color="0.5", linestyle="--", label="float")
    axes.set(xlabel="packed weight bits, millions", ylabel=_label(study), title="mixtures of bits, nothing retrained")
    axes.legend(fontsize=8, loc="lower right")
    axes.grid(alpha=0.3)
    save(figure, path)


def _label(study: Study) -> str:
    return "mean cosine with float" if study.float_score.accuracy is None else "verification accuracy, %"


def _shown(score: Score) -> Any:
    return score.value if score.accuracy is None else 100 * score.value
