"""The whole evaluation on small synthetic people: the JSON, the page, the terminal text."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from sklearn.metrics import roc_auc_score

from mcugen.errors import McugenError
from mcugen.evaluate import EvaluatedModel, evaluate, summary
from mcugen.evaluate.measure import Question, measure, mistakes
from mcugen.evaluate.pictures import shortened, thinned
from mcugen.metrics.curves import Accepted, roc
from mcugen.metrics.pairs import Pair, read_pairs
from mcugen.metrics.verification import k_fold_accuracy
from tests.unit.people import write_people

PEOPLE, IMAGES = 8, 3


@pytest.fixture(scope="module")
def faces(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight "people" with three noisy images each, and pairs in two folds of four people (6 + 6 pairs each)."""
    root = tmp_path_factory.mktemp("faces")
    rng = np.random.default_rng(5)
    write_people(root / "images", [f"P{person}" for person in range(PEOPLE)], rng, IMAGES, noise=45)
    lines = ["2\t6"]
    for fold in (0, 4):
        lines += [f"P{fold + k // 2}\t1\t{2 + k % 2}" for k in range(6)]
        lines += [f"P{fold + k % 4}\t{1 + k % 3}\tP{fold + (k + 1) % 4}\t2" for k in range(6)]
    (root / "pairs.txt").write_text("\n".join(lines) + "\n")
    return root


def embed(bits: int | None, width: int = 108) -> Any:
    def run(pixels: np.ndarray) -> np.ndarray:
        centred = pixels.reshape(len(pixels), -1)[:, :width].astype(np.float32) - 128
        return centred if bits is None else np.round(centred / 2 ** (8 - bits)) * 2 ** (8 - bits) + np.float32(0.5)

    return run


def model(name: str, bits: int | None, width: int = 108) -> EvaluatedModel:
    return EvaluatedModel(name, embed(bits, width), (6, 6), digest=f"{bits}", engine=name.split(":")[0])


FLOAT, EIGHT, TWO = model("float: net.h5", None), model("host: net.h5", 6), model("unicorn: <b>net</b>.h5", 2)


def run(faces: Path, models: list[EvaluatedModel], folder: Path | None = None, **options: Any) -> dict[str, Any]:
    return evaluate(models, faces / "images", faces / "pairs.txt", report_dir=folder, **options)


def test_one_model_has_its_figures_at_the_top(faces: Path) -> None:
    result = run(faces, [FLOAT])
    json.dumps(result, allow_nan=False)
    assert (result["pairs"], result["genuine"], result["impostor"]) == (24, 12, 12)
    assert (result["images"], result["people"], result["selected_folds"]) == (22, 8, [1, 2])  # two are in no pair
    assert result["accuracy"] == result["models"][0]["accuracy"] == np.mean([f["accuracy"] for f in result["folds"]])
    assert result["tar_at_far"] == {"0.1": None, "0.01": None, "0.001": None}
    assert (result["agreement"], result["fidelity"], len(result["venn"])) == ([], [], 2)
    assert any("12 impostor pairs are too few" in note and "0.1 (takes 100)" in note for note in result["notes"])


def test_the_figures_are_those_of_the_embeddings(faces: Path) -> None:
    result = run(faces, [FLOAT], rates=(0.2,))
    images: dict[str, np.ndarray] = {}
    for path in (faces / "images").rglob("*.png"):
        pixels = np.asarray(Image.open(path), np.float64).reshape(-1) - 128
        images[f"{path.parent.name}/{path.stem}"] = pixels / np.linalg.norm(pixels)
    pairs = read_pairs(faces / "pairs.txt")
    scores = np.array([images[pair.first] @ images[pair.second] for pair in pairs])
    same = np.array([pair.same for pair in pairs])
    assert result["auc"] == pytest.approx(roc_auc_score(same, scores))
    assert [fold["threshold"] for fold in result["folds"]] != [result["threshold"]] * 2
    for fold, pick in zip(result["folds"], (slice(0, 12), slice(12, 24)), strict=True):
        assert fold["accuracy"] == np.mean((scores[pick] >= fold["threshold"]) == same[pick])
    every = result["every_two_images"]  # within a fold: three people with 3 images, one with 2
    assert (every["genuine"], every["impostor"]) == (2 * 10, 2 * (55 - 10))
    assert every["tar_at_far"]["0.2"] is not None


def test_models_are_compared(faces: Path) -> None:
    result = run(faces, [FLOAT, EIGHT, TWO])
    json.dumps(result, allow_nan=False)
    assert [(a["reference"], a["other"]) for a in result["agreement"]] == [
        (FLOAT.name, EIGHT.name), (FLOAT.name, TWO.name), (EIGHT.name, TWO.name)]  # fmt: skip
    assert sum(region["pairs"] for region in result["venn"]) == 24 and len(result["venn"]) == 8
    close, far, _ = result["fidelity"]
    assert 1 > close["cosine_mean"] > far["cosine_mean"] and close["sqnr_db"] > far["sqnr_db"] > 0
    assert [change["other"] for change in result["heatmap"]["changes"]] == [EIGHT.name, TWO.name]
    assert result["heatmap"]["people"] == [f"P{person}" for person in range(8)]
    for agreed in result["agreement"]:
        wanted = [r["pairs"] for r in result["venn"] if {agreed["reference"], agreed["other"]} <= set(r["models"])]
        assert agreed["both"] == sum(wanted)


def test_a_model_agrees_with_itself(faces: Path) -> None:
    result = run(faces, [FLOAT, model("again", None)])
    [agreed], [close] = result["agreement"], result["fidelity"]
    assert (agreed["overlap"], agreed["jaccard"], agreed["gained"], agreed["lost"]) == (1.0, 1.0, 0, 0)
    assert close["identical"] and close["sqnr_db"] is None and close["cosine_min"] == pytest.approx(1)
    assert result["heatmap"]["changes"][0]["max_abs"] == 0


def test_embeddings_of_other_lengths_are_not_compared(faces: Path) -> None:
    result = run(faces, [FLOAT, model("short", None, 54)])
    assert result["fidelity"][0]["cosine_mean"] is None and not result["fidelity"][0]["identical"]
    assert any("different lengths" in note for note in result["notes"])
    assert "cosine" not in summary(result)


def test_folds(faces: Path) -> None:
    result = run(faces, [FLOAT], folds=[2])
    assert result["pairs"] == 12 and result["accuracy_std"] is None
    assert result["threshold_from"] == "the scored fold itself"
    assert any("Only one fold" in note for note in result["notes"])
    with pytest.raises(McugenError, match="--folds"):
        run(faces, [FLOAT], folds=[3])


def test_mistakes_are_the_wrong_answers_the_worst_first() -> None:
    rows = [("A", "B", False), ("C", "D", False), ("E", "E", True), ("F", "F", True)]
    pairs = tuple(Pair(f"{a}/1", f"{b}/2", same, 1) for a, b, same in rows)
    cosines = {"A": 0.5, "C": 0.9, "E": 0.6, "F": 0.3}  # best threshold: just above 0.9, so E and F are refused
    question = Question(pairs)
    scores = np.array(list(cosines.values()))
    judged = k_fold_accuracy(scores, question.same, question.fold)
    vectors = np.ones((len(question.names), 2), np.float32)
    answered = replace(measure(FLOAT, vectors, question), scores=scores, k_fold=judged)
    found = mistakes(question, answered)
    assert [mistake.pair.first for mistake in found] == ["F/1", "E/1"]
    assert [mistake.distance for mistake in found] == pytest.approx([0.6, 0.3])
    assert mistakes(question, answered, among=np.array([True, True, True, False]))[0].pair.first == "E/1"


def test_labelled_folders_instead_of_pairs(faces: Path) -> None:
    result = evaluate([FLOAT], faces / "images")
    assert result["pairs_from"] == "built from folders" and len(result["selected_folds"]) == 4
    assert result == evaluate([FLOAT], faces / "images")
    assert "compare with no published ones" in result["notes"][0]


def test_wrong_calls_are_refused(faces: Path, tmp_path: Path) -> None:
    for models in ([], [FLOAT, FLOAT]):
        with pytest.raises(McugenError, match="different names"):
            run(faces, models)
    with pytest.raises(McugenError, match="batch"):
        run(faces, [FLOAT], batch=0)
    (tmp_path / "pairs.txt").write_text("1\t1\nP0\t1\t2\nP0\t1\tZed\t1\n")
    calls: list[int] = []
    counting = EvaluatedModel("m", lambda pixels: calls.append(1) or embed(None)(pixels), (6, 6))
    with pytest.raises(McugenError, match="Zed/Zed_0001: no such image"):
        evaluate([counting], faces / "images", tmp_path / "pairs.txt")
    assert not calls, "images were embedded before all were known to exist"


def test_the_terminal_text(faces: Path) -> None:
    text = summary(run(faces, [FLOAT, TWO]))
    assert text.startswith("24 pairs of 22 images, 8 people\nfloat: net.h5")
    assert re.search(
        r"unicorn: <b>net</b>\.h5 against float: net\.h5: \d+ pairs lost, \d+ gained, cosine 0\.\d{5}\nNote", text
    )


class Page(HTMLParser):
    """Collects what a browser would fetch, and checks that elements nest."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.addresses: list[str] = []
        self.tags: list[str] = []
        self.open: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        if tag not in ("meta", "img", "source", "br", "circle"):
            self.open.append(tag)
        self.addresses += [value or "" for key, value in attributes if key in ("src", "srcset", "href", "data")]

    def handle_startendtag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


@pytest.mark.parametrize("models", [[FLOAT], [FLOAT, TWO], [FLOAT, EIGHT, TWO]])
def test_the_page_is_whole_and_asks_nothing_of_the_network(
    faces: Path, tmp_path: Path, models: list[EvaluatedModel]
) -> None:
    result = run(faces, models, tmp_path / "report")
    text = (tmp_path / "report" / "evaluate.html").read_text(encoding="utf-8")
    page = Page(text)
    assert not page.open
    assert all(re.match(r"data:image/(png|jpeg);base64,[A-Za-z0-9+/=]+$", address) for address in page.addresses)
    assert "http:" not in text and "https:" not in text and "url(" not in text and "script" not in page.tags
    count = len(models)
    assert page.tags.count("picture") == 2 + count + count + (count - 1)  # ROC, histograms, heatmaps, differences
    assert page.tags.count("circle") == (count if count in (2, 3) else 0)
    assert "<b>net</b>" not in text and ("&lt;b&gt;net" in text) == (TWO in models)
    assert f"{100 * result['accuracy']:.2f}%" in text and all(note in text for note in result["notes"])
    assert json.loads((tmp_path / "report" / "evaluate.json").read_text()) == json.loads(json.dumps(result))
    assert len(list((tmp_path / "report" / "cache").glob("*.npz"))) == count


def test_a_second_report_takes_the_embeddings_from_the_cache(faces: Path, tmp_path: Path) -> None:
    first = run(faces, [FLOAT], tmp_path)
    page = (tmp_path / "evaluate.html").read_bytes()

    def never(pixels: np.ndarray) -> np.ndarray:
        raise AssertionError("embedded again")

    same = EvaluatedModel(FLOAT.name, never, FLOAT.size, digest=FLOAT.digest, engine=FLOAT.engine)
    assert run(faces, [same], tmp_path) == first
    assert (tmp_path / "evaluate.html").read_bytes() == page, "the same evaluation gives another page"


def test_people_with_one_image_each_have_no_heatmap(faces: Path, tmp_path: Path) -> None:
    (tmp_path / "pairs.txt").write_text("1\t1\nP0\t1\t2\nP1\t1\tP2\t1\n")
    result = evaluate([FLOAT, TWO], faces / "images", tmp_path / "pairs.txt", report_dir=tmp_path / "report")
    assert result["heatmap"]["people"] == ["P0"] and result["models"][0]["angles"]["worst"] is None
    assert (tmp_path / "report" / "evaluate.html").is_file()


@pytest.mark.parametrize("code", [1.0, 0.0, -1.0])
def test_embeddings_that_all_score_alike_are_reported(faces: Path, tmp_path: Path, code: float) -> None:
    (tmp_path / "pairs.txt").write_text("1\t1\nP0\t1\t2\nP1\t1\tP2\t1\n")
    vectors = np.array([[1, 0], [code, 1 - abs(code)], [1, 0], [code, 1 - abs(code)]], np.float32)
    alike = EvaluatedModel("alike", lambda pixels: vectors, (6, 6))
    result = evaluate([alike], faces / "images", tmp_path / "pairs.txt", report_dir=tmp_path)
    assert (result["auc"], result["eer"], result["accuracy"]) == (0.5, 0.5, 0.5)


def test_a_report_folder_that_cannot_be_written_is_named_before_any_work(faces: Path, tmp_path: Path) -> None:
    def never(pixels: np.ndarray) -> np.ndarray:
        raise AssertionError("embedded for nothing")

    (tmp_path / "file").write_text("in the way")
    with pytest.raises(McugenError, match="name a writable --report folder"):
        run(faces, [EvaluatedModel("m", never, (6, 6))], tmp_path / "file")
    (tmp_path / "report" / "evaluate.html").mkdir(parents=True)
    with pytest.raises(McugenError, match=r"evaluate\.html: cannot be written"):
        run(faces, [FLOAT], tmp_path / "report")


def test_thinned_curves_keep_their_corners() -> None:
    rng = np.random.default_rng(0)
    same = rng.random(400) < 0.5
    curve = roc(np.round(rng.normal(same), 2), same)  # with ties: slanted pieces
    far, tar = thinned(curve)
    assert len(far) < len(curve.far)
    along = curve.far + curve.tar  # rises strictly along the curve, so it tells where on it a point lies
    np.testing.assert_allclose(np.interp(along, far + tar, tar), curve.tar, atol=1e-12)
    steps = np.arange(20_001)
    long = Accepted(-steps.astype(float), np.cumsum(steps % 2), np.cumsum(1 - steps % 2) - 1)
    far, tar = thinned(long)
    assert len(far) < 5000 and (far[0], far[-1], tar[0], tar[-1]) == (0, 1, 0, 1)


def test_long_names_are_shortened() -> None:
    assert shortened("host: net.h5") == "host: net.h5"
    assert len(shortened("host: " + "x" * 90 + "_tail.h5")) <= 34 and shortened("x" * 90 + "_tail.h5").endswith(
        "_tail.h5"
    )
