"""LFW's pairs.txt and pairs built from labelled folders."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcugen.errors import McugenError
from mcugen.metrics.pairs import Pair, images_of, pairs_of_people, person_of, read_pairs, select_folds

TWO_FOLDS = ["2\t1", "Ann_Lee\t1\t4", "Bo\t2\tCy_D\t10", "Di\t3\t1", "Ed\t1\tFay\t1"]


def write(folder: Path, lines: list[str]) -> Path:
    path = folder / "pairs.txt"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def test_the_pairs_of_a_file(tmp_path: Path) -> None:
    pairs = read_pairs(write(tmp_path, TWO_FOLDS))
    assert pairs == (
        Pair("Ann_Lee/Ann_Lee_0001", "Ann_Lee/Ann_Lee_0004", True, 1),
        Pair("Bo/Bo_0002", "Cy_D/Cy_D_0010", False, 1),
        Pair("Di/Di_0003", "Di/Di_0001", True, 2),
        Pair("Ed/Ed_0001", "Fay/Fay_0001", False, 2),
    )
    assert images_of(pairs[2:]) == ("Di/Di_0001", "Di/Di_0003", "Ed/Ed_0001", "Fay/Fay_0001")
    assert person_of("Ann_Lee/Ann_Lee_0001") == "Ann_Lee"


def test_crlf_blank_tail_byte_order_mark_and_spaces_are_read(tmp_path: Path) -> None:
    path = tmp_path / "pairs.txt"
    path.write_bytes(b"\xef\xbb\xbf" + "\r\n".join(["1 1", "Ann 1 2", "Ann 1 Bo 1", "", ""]).encode())
    assert len(read_pairs(path)) == 2


def test_a_single_number_in_the_first_line_is_one_fold(tmp_path: Path) -> None:
    pairs = read_pairs(write(tmp_path, ["2", "A\t1\t2", "B\t1\t2", "A\t1\tB\t1", "A\t2\tB\t2"]))
    assert [(pair.same, pair.fold) for pair in pairs] == [(True, 1), (True, 1), (False, 1), (False, 1)]


@pytest.mark.parametrize(
    ("row", "line", "place"),
    [
        (0, "ten\t300", "line 1: found 'ten"),
        (0, "", "line 1"),
        (0, "0\t1", "line 1"),
        (0, "2\t1\t1", "line 1"),
        (0, "9" * 5000, "line 1"),
        (1, "Ann_Lee\t1", "line 2: found 2 fields, expected a matched pair"),
        (1, "Ann\t1\tBo\t2", "line 2: found 4 fields"),
        (2, "Bo\t2\t3", "line 3: found 3 fields, expected a mismatched pair"),
        (2, "Bo\t2\tBo\t3", "line 3: the mismatched pair names 'Bo' twice"),
        (3, "Di\t3\t3", "line 4: the pair compares an image with itself"),
        (3, "Di\tx\t3", "line 4: 'x' is not an image number"),
        (3, "Di\t0\t3", "line 4: '0' is not"),
        (3, "Di\t²\t3", "line 4: '²' is not"),
        (4, "../Ed\t1\tFay\t1", "line 5: '../Ed' is not a person's name"),
        (4, "..\t1\tFay\t1", "line 5: '..' is not"),
        (4, "\t1\tFay\t1", "line 5: '' is not"),
    ],
)
def test_a_wrong_line_is_named(tmp_path: Path, row: int, line: str, place: str) -> None:
    lines = list(TWO_FOLDS)
    lines[row] = line
    with pytest.raises(McugenError) as refused:
        read_pairs(write(tmp_path, lines))
    assert place in str(refused.value)


@pytest.mark.parametrize(("lines", "place"), [(TWO_FOLDS[:-1], "line 4: the file has 3 pairs"),
                                              ([*TWO_FOLDS, "Ed\t1\t2"], "line 6: the file has 5 pairs")])  # fmt: skip
def test_a_wrong_number_of_lines_is_refused(tmp_path: Path, lines: list[str], place: str) -> None:
    with pytest.raises(McugenError, match=place):
        read_pairs(write(tmp_path, lines))


def test_a_lost_line_is_found_where_it_is_missing(tmp_path: Path) -> None:
    with pytest.raises(McugenError, match="line 3"):
        read_pairs(write(tmp_path, TWO_FOLDS[:2] + TWO_FOLDS[3:]))


def test_files_that_are_no_text_are_refused(tmp_path: Path) -> None:
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")
    for path in (tmp_path / "absent", tmp_path, tmp_path / "binary"):
        with pytest.raises(McugenError, match="cannot be read"):
            read_pairs(path)


def test_folds_are_selected(tmp_path: Path) -> None:
    pairs = read_pairs(write(tmp_path, TWO_FOLDS))
    assert select_folds(pairs, None) == pairs
    assert select_folds(pairs, [2]) == pairs[2:]
    assert select_folds(pairs, [2, 1]) == pairs
    for wrong in ([], [3], [1, 1], [0], [1, 2, 3]):
        with pytest.raises(McugenError, match="--folds"):
            select_folds(pairs, wrong)


def people(*counts: int) -> list[str]:
    return [f"P{index}/{image}" for index, count in enumerate(counts) for image in range(count)]


@given(st.lists(st.integers(1, 6), min_size=2, max_size=14), st.integers(1, 5), st.integers(1, 8), st.randoms())
def test_pairs_of_folders(counts: list[int], folds: int, per_class: int, random: object) -> None:
    images = people(*counts)
    if sum(count > 1 for count in counts) < 2:
        with pytest.raises(McugenError, match="two images"):
            pairs_of_people(images)
        return
    pairs = pairs_of_people(images, folds, per_class)
    random.shuffle(images)  # type: ignore[attr-defined]
    assert pairs_of_people(images, folds, per_class) == pairs, "depends on the order of the files"
    assert len(set(pairs)) == len(pairs)
    numbers = {pair.fold for pair in pairs}
    assert numbers == set(range(1, len(numbers) + 1)) and 1 <= len(numbers) <= folds
    for pair in pairs:
        assert pair.first < pair.second and pair.same == (person_of(pair.first) == person_of(pair.second))
    shown = [{person_of(image) for image in images_of(p for p in pairs if p.fold == number)} for number in numbers]
    assert sum(map(len, shown)) == len(set().union(*shown)), "a person is in two folds"
    sizes = {sum(p.fold == number and p.same == same for p in pairs) for number in numbers for same in (True, False)}
    assert len(sizes) == 1 and 1 <= sizes.pop() <= per_class


def test_people_with_many_images_do_not_crowd_out_others() -> None:
    pairs = pairs_of_people(people(30, 2, 2, 2), folds=1, per_class=4)
    assert {person_of(pair.first) for pair in pairs if pair.same} == {"P0", "P1", "P2", "P3"}
