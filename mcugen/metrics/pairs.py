"""Verification pairs: LFW's `pairs.txt`, or pairs built from folders of labelled images.

Format (Huang et al., "Labeled Faces in the Wild", Tech. Rep. 07-49, 2007; the README of the data set): a first line
`FOLDS<tab>N`, then for each fold N matched lines `person<tab>i<tab>j` and N mismatched lines
`person<tab>i<tab>other<tab>j`. View 1 files have a single number N in the first line: one fold.
Image `i` of `Person` is called `Person/Person_0001` here: the file's path without its ending.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations, islice
from pathlib import Path

from mcugen.errors import McugenError


@dataclass(frozen=True)
class Pair:
    """Two image names, whether both show the same person, and the fold (from 1)."""

    first: str
    second: str
    same: bool
    fold: int


def person_of(image: str) -> str:
    """The person of an image name: its folder."""
    return image.rpartition("/")[0]


def images_of(pairs: Iterable[Pair]) -> tuple[str, ...]:
    """The distinct image names of `pairs`, sorted: the images to be embedded once each."""
    return tuple(sorted({name for pair in pairs for name in (pair.first, pair.second)}))


def read_pairs(path: Path) -> tuple[Pair, ...]:
    """All pairs of a file in LFW's format, in the order of the file.

    Raises:
        McugenError: an unreadable file, or the first line that is not what its place in the file asks for.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").rstrip().split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise McugenError(str(path), f"cannot be read ({error})", "give a text file in LFW's format") from None
    folds, per_class = _header(path, lines[0])
    per_fold = 2 * per_class
    expected = folds * per_fold
    pairs = tuple(
        _pair(f"{path}, line {row + 2}", line, same=row % per_fold < per_class, fold=row // per_fold + 1)
        for row, line in enumerate(lines[1 : expected + 1])
    )
    if len(lines) != expected + 1:
        raise McugenError(
            f"{path}, line {min(len(lines), expected + 2)}",
            f"the file has {len(lines) - 1} pairs, but {folds} folds of {per_class} matched and as many mismatched "
            f"pairs are {expected}",
            "complete the file or correct its first line",
        )
    return pairs


def _header(path: Path, line: str) -> tuple[int, int]:
    """(folds, matched pairs a fold) of the first line."""
    fields = line.split()
    if len(fields) in (1, 2) and all(map(_is_count, fields)):
        return (int(fields[0]) if len(fields) == 2 else 1), int(fields[-1])
    raise McugenError(
        f"{path}, line 1",
        f"found {line[:60]!r} instead of the number of folds and of matched pairs a fold",
        "start the file with a line such as '10<tab>300'",
    )


def _pair(place: str, line: str, same: bool, fold: int) -> Pair:
    """One line: a matched pair has 3 fields, a mismatched pair 4."""
    fields = [field.strip() for field in (line.split("\t") if "\t" in line else line.split())]
    shape = "a matched pair 'person, i, j'" if same else "a mismatched pair 'person, i, other person, j'"
    if len(fields) != (3 if same else 4):
        raise McugenError(place, f"found {len(fields)} fields, expected {shape}", "correct the line or the first line")
    first = _image_name(place, fields[0], fields[1])
    second = _image_name(place, fields[0] if same else fields[2], fields[-1])
    if same and first == second:
        raise McugenError(place, "the pair compares an image with itself", "name two different images")
    if not same and fields[0] == fields[2]:
        raise McugenError(place, f"the mismatched pair names {fields[0]!r} twice", "name two different persons")
    return Pair(first, second, same, fold)


def _image_name(place: str, person: str, number: str) -> str:
    if not person or person in (".", "..") or set("/\\\0") & set(person):
        raise McugenError(place, f"{person!r} is not a person's name", "use the name of the person's folder")
    if not _is_count(number):
        raise McugenError(place, f"{number!r} is not an image number", "use a whole number from 1")
    return f"{person}/{person}_{int(number):04d}"


def _is_count(field: str) -> bool:
    return field.isascii() and field.isdigit() and len(field) < 10 and int(field) > 0


def select_folds(pairs: Sequence[Pair], folds: Sequence[int] | None) -> tuple[Pair, ...]:
    """The pairs of the named folds (all for None), in the order of `pairs`.

    Raises:
        McugenError: a fold that `pairs` does not have, one named twice, or none at all.
    """
    have = sorted({pair.fold for pair in pairs})
    if folds is None:
        return tuple(pairs)
    if not folds or len(set(folds)) != len(folds) or not set(folds) <= set(have):
        known = f"{have[0]} to {have[-1]}" if have else "none"
        raise McugenError(
            "--folds",
            f"{','.join(map(str, folds)) or 'an empty list'} does not name different folds "
            f"of the pairs (they have {known})",
            "name each fold once, such as --folds 1,2",
        )
    return tuple(pair for pair in pairs if pair.fold in set(folds))


def pairs_of_people(images: Iterable[str], folds: int = 10, per_class: int = 300) -> tuple[Pair, ...]:
    """Pairs from labelled images (`person/file`): the same images always give the same pairs, whatever their order.

    The folds share no person and all hold as many matched as mismatched pairs: `per_class`, or fewer if the smallest
    fold has fewer. People with many images do not dominate: a second matched pair of a person is taken only after a
    first one of everybody. Fewer people than the folds need give fewer folds (two people with two images each).
    "Random" is the order of the names' SHA-256, so it depends on no library's random generator.

    Raises:
        McugenError: fewer than two people have two images or more.
    """
    by_person: dict[str, list[str]] = {}
    for image in sorted(set(images), key=_digest):
        by_person.setdefault(person_of(image), []).append(image)
    people = sorted(by_person, key=_digest)
    several = [person for person in people if len(by_person[person]) > 1]
    if len(several) < 2:
        raise McugenError(
            "labelled folders",
            f"{len(several)} of {len(people)} people have two images or more",
            "give folders 'person/image' of at least two people with two images each",
        )
    folds = min(folds, len(several) // 2)
    single = [person for person in people if len(by_person[person]) == 1]
    groups = [{p: by_person[p] for p in several[k::folds] + single[k::folds]} for k in range(folds)]
    matched = [list(islice(_matched(group), per_class)) for group in groups]
    mismatched = [list(islice(_mismatched(group), per_class)) for group in groups]
    count = min(map(len, matched + mismatched))
    return tuple(
        Pair(min(names), max(names), same, fold)
        for fold in range(1, folds + 1)
        for same, drawn in ((True, matched), (False, mismatched))
        for names in drawn[fold - 1][:count]
    )


def _digest(name: str) -> str:
    return hashlib.sha256(name.encode()).hexdigest()


def _matched(group: dict[str, list[str]]) -> Iterator[tuple[str, str]]:
    """Matched pairs, one of each person in turn."""
    turns = [combinations(images, 2) for images in group.values()]
    while turns:
        drawn = [(turn, next(turn, None)) for turn in turns]
        yield from (pair for _, pair in drawn if pair)
        turns = [turn for turn, pair in drawn if pair]


def _mismatched(group: dict[str, list[str]]) -> Iterator[tuple[str, str]]:
    """Mismatched pairs: image k with image k + 1 of the mixed images, then with image k + 2, and so on."""
    images = sorted((image for each in group.values() for image in each), key=_digest)
    for step in range(1, len(images)):
        for first, second in zip(images, images[step:], strict=False):
            if person_of(first) != person_of(second):
                yield first, second
