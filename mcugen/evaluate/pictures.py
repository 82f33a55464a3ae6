"""Plots of an evaluation as PNG bytes, each for light and for dark pages (matplotlib's Agg, no display)."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from typing import Any

import matplotlib
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from mcugen.evaluate.measure import Measured, Question
from mcugen.metrics.curves import Accepted, auc, least_impostors
from mcugen.metrics.embeddings import Scores

# Okabe and Ito's colours, told apart by most colour-blind readers; the first must show on both backgrounds.
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
GENUINE, IMPOSTOR = "#56b4e9", "#e69f00"
DASHES = ("-", "--", "-.", ":")
_MARKED = 0.01
_POINTS = 2000


def light_and_dark(draw: Callable[[Any], None], width: float = 5.0, height: float = 4.0) -> tuple[bytes, bytes]:
    """(PNG for light, PNG for dark pages) of what `draw` paints on the axes it is given; size in inches."""
    return _render(draw, width, height, "#ffffff", "#1f2328"), _render(draw, width, height, "#171b21", "#d5dae1")


def _render(draw: Callable[[Any], None], width: float, height: float, paper: str, ink: str) -> bytes:
    inked = ("text.color", "axes.labelcolor", "axes.edgecolor", "xtick.color", "ytick.color")
    style = dict.fromkeys(inked, ink) | {
        "figure.facecolor": paper,
        "axes.facecolor": paper,
        "legend.facecolor": paper,
        "font.family": "DejaVu Sans",
        "font.size": 10,
        "grid.alpha": 0.3,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.titlesize": 10,
    }
    with matplotlib.rc_context(style):
        figure = Figure(figsize=(width, height), dpi=150, layout="constrained")
        draw(figure.add_subplot())
        png = io.BytesIO()
        FigureCanvasAgg(figure).print_png(png, metadata={"Software": None})
    return png.getvalue()


def roc_plot(measured: Sequence[Measured], every: bool) -> tuple[bytes, bytes]:
    """ROC of all models: of the pairs on straight axes, or (`every`) of every two images with a logarithmic FAR.

    FAR 1% is marked on each curve; the mark is hollow where the impostors are too few to measure it.
    """

    def draw(axes: Any) -> None:
        for index, each in enumerate(measured):
            curve = each.every if every else each.curve
            colour, far, tar = COLOURS[index % len(COLOURS)], *thinned(curve)
            label = _label(each.model.name, curve)
            axes.plot(far, tar, color=colour, linestyle=DASHES[index % len(DASHES)], label=label)
            firm = curve.impostor[-1] >= least_impostors(_MARKED)
            axes.plot(_MARKED, _tar_at(curve), "o", color=colour, fillstyle="full" if firm else "none", markersize=7)
        axes.axvline(_MARKED, color="0.5", linewidth=0.8, linestyle=":")
        if every:
            axes.set_xscale("log")
            axes.set_xlim(min(0.1, 10 / int(measured[0].every.impostor[-1])), 1)
        else:
            axes.plot([0, 1], [0, 1], color="0.5", linewidth=0.8)
            axes.set_xlim(-0.01, 1)
        axes.set(xlabel="false accept rate (FAR)", ylabel="true accept rate (TAR)", ylim=(0, 1.01))
        axes.annotate("FAR 1%", (_MARKED, 0), (3, 3), textcoords="offset points", color="0.5", fontsize=8)
        axes.grid(True)
        axes.legend(loc="lower right" if not every else "best", fontsize=8)

    return light_and_dark(draw)


def _label(name: str, curve: Accepted) -> str:
    return f"{shortened(name)}  AUC {auc(curve):.4f}"


def shortened(name: str, most: int = 34) -> str:
    """A name that fits a legend: its middle left out if it is long."""
    return name if len(name) <= most else f"{name[: most // 2]}…{name[-(most // 2 - 1) :]}"


def _tar_at(curve: Accepted) -> float:
    """TAR of the last ROC point with FAR of at most 1%."""
    return float(curve.tar[int(np.searchsorted(curve.far, _MARKED, side="right")) - 1])


def thinned(curve: Accepted) -> tuple[Scores, Scores]:
    """(far, tar) with the corners only, at most a few thousand, denser towards low FAR."""
    far, tar = curve.far, curve.tar
    corner = np.ones(far.size, bool)
    right, up = np.diff(curve.impostor), np.diff(curve.genuine)
    corner[1:-1] = right[:-1] * up[1:] != right[1:] * up[:-1]  # the direction changes here
    rows = np.flatnonzero(corner)
    if rows.size > _POINTS:
        spread = np.unique(np.geomspace(1, rows.size, _POINTS).astype(int)) - 1
        even = np.linspace(0, rows.size - 1, _POINTS).astype(int)
        rows = rows[np.union1d(spread, even)]
    return far[rows], tar[rows]


def histogram_plot(question: Question, measured: Measured) -> tuple[bytes, bytes]:
    """Scores of genuine and of impostor pairs, with the threshold over all pairs."""

    def draw(axes: Any) -> None:
        edges = np.linspace(min(measured.scores.min(), 0.0), max(measured.scores.max(), 0.1), 41)
        for label, flags, colour in (("same person", question.same, GENUINE), ("strangers", ~question.same, IMPOSTOR)):
            axes.hist(measured.scores[flags], edges, color=colour, alpha=0.55, label=label)
        axes.axvline(measured.threshold, color="0.5", linestyle="--", label=f"threshold {measured.threshold:.3f}")
        axes.set(xlabel="cosine of the two embeddings", ylabel="pairs", title=shortened(measured.model.name, 48))
        axes.legend(loc="upper right", fontsize=8)

    return light_and_dark(draw, height=3.2)


def angle_plot(angles: Scores, title: str, low: float, high: float) -> tuple[bytes, bytes]:
    """A heatmap (P, P) in degrees between `low` and `high`, persons numbered from 1."""
    return _heat(angles, title, low, high, "viridis", "mean angle, degrees")


def change_plot(difference: Scores, title: str, most: float) -> tuple[bytes, bytes]:
    """The difference of two heatmaps (P, P) in degrees, white at 0, colours up to +-`most`."""
    return _heat(difference, title, -most, most, "RdBu_r", "difference, degrees")


def _heat(values: Scores, title: str, low: float, high: float, colours: str, label: str) -> tuple[bytes, bytes]:
    def draw(axes: Any) -> None:
        count = len(values)
        extent = (0.5, count + 0.5, count + 0.5, 0.5)
        image = axes.imshow(values, cmap=colours, vmin=low, vmax=high, extent=extent, interpolation="nearest")
        ticks = range(1, count + 1, 1 if count <= 12 else 2)
        axes.set(xticks=ticks, yticks=ticks, xlabel="person", ylabel="person", title=title)
        axes.tick_params(labelsize=8)
        axes.figure.colorbar(image, ax=axes, shrink=0.85, label=label)

    return light_and_dark(draw)
