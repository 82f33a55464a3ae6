"""The report: one HTML file that needs no network, with its plots and the pictures it discusses inside.

It shows faces from the user's images, so it is as private as these are.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import jinja2
import numpy as np

from mcugen import __version__
from mcugen.evaluate.images import ImageSource, decode, pillow
from mcugen.evaluate.measure import Measured, Mistake, Question, mistakes
from mcugen.evaluate.pictures import COLOURS, angle_plot, change_plot, histogram_plot, roc_plot, shortened
from mcugen.metrics.heatmap import angle_change
from mcugen.resources import data_dir

SHOWN = 6  # pairs in each gallery
THUMBNAIL = 96  # pixels


def render(result: Mapping[str, Any], question: Question, measured: Sequence[Measured], source: ImageSource) -> str:
    """The report of `result` (the JSON) as HTML text.

    Raises:
        McugenError: an image to be shown is missing or broken.
    """
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(data_dir("templates")),
        undefined=jinja2.StrictUndefined,
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"percent": percent, "fixed": fixed, "rate": lambda rate: f"{100 * float(rate):g}%"}
    return environment.get_template("evaluate.html.j2").render(
        r=result,
        version=__version__,
        colours=COLOURS,
        rocs=[_embedded(roc_plot(measured, every)) for every in (False, True)],
        histograms=[_embedded(histogram_plot(question, each)) for each in measured],
        heatmaps=_heatmaps(measured) if question.shown else [],
        galleries=list(_galleries(question, measured, source)),
    )


def percent(value: float | None, places: int = 2) -> str:
    """A rate as a percentage; a dash for None."""
    return "–" if value is None else f"{100 * value:.{places}f}%"


def fixed(value: float | None, places: int = 4) -> str:
    """A number with fixed decimals and a true minus sign; a dash for None."""
    return "–" if value is None else f"{value:.{places}f}".replace("-", "−")


def _uri(data: bytes, kind: str) -> str:
    return f"data:image/{kind};base64,{base64.b64encode(data).decode()}"


def _embedded(pngs: tuple[bytes, bytes]) -> dict[str, str]:
    return {"light": _uri(pngs[0], "png"), "dark": _uri(pngs[1], "png")}


def _heatmaps(measured: Sequence[Measured]) -> list[dict[str, Any]]:
    """One heatmap a model on a common scale, then the differences to the first on another."""
    known = np.concatenate([each.angles[np.isfinite(each.angles)] for each in measured])
    drawn = [
        {
            "alt": f"Mean angles between persons, {each.model.name}",
            **_embedded(angle_plot(each.angles, shortened(each.model.name, 44), known.min(), known.max())),
        }
        for each in measured
    ]
    changes = [(other, angle_change(measured[0].angles, other.angles)) for other in measured[1:]]
    most = max([change.max_abs for _, change in changes], default=0.0) or 1.0
    for other, change in changes:
        title = f"{shortened(other.model.name, 20)} minus {shortened(measured[0].model.name, 20)}"
        alt = f"Difference of mean angles, {other.model.name} minus {measured[0].model.name}"
        drawn.append({"alt": alt, **_embedded(change_plot(change.difference, title, most))})
    return drawn


def _galleries(question: Question, measured: Sequence[Measured], source: ImageSource) -> Any:
    """Worst mistakes of each model by kind; for each further model what it lost against the one before it."""
    for each in measured:
        wrong = mistakes(question, each)
        for same, title in ((True, "same person, refused"), (False, "strangers, accepted")):
            yield _gallery(f"{each.model.name}: {title}", [m for m in wrong if m.pair.same == same], source)
    for before, each in pairwise(measured):
        lost = mistakes(question, each, among=before.k_fold.correct)
        yield _gallery(f"Right with {before.model.name}, wrong with {each.model.name}", lost, source)


def _gallery(title: str, found: Sequence[Mistake], source: ImageSource) -> dict[str, Any]:
    cards = [
        {
            "images": [(name, _thumbnail(source, name)) for name in (mistake.pair.first, mistake.pair.second)],
            "same": mistake.pair.same,
            "score": mistake.score,
            "threshold": mistake.threshold,
        }
        for mistake in found[:SHOWN]
    ]
    return {"title": title, "count": len(found), "cards": cards}


def _thumbnail(source: ImageSource, name: str) -> str:
    """A small JPEG of an image as a data URI."""
    pixels = decode(source.bytes_of(name), source.files[name].path, (THUMBNAIL, THUMBNAIL))
    jpeg = io.BytesIO()
    pillow("Image").fromarray(pixels).save(jpeg, "JPEG", quality=85)
    return _uri(jpeg.getvalue(), "jpeg")
