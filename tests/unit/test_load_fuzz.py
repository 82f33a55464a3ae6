"""200 mutated model files; `python tests/unit/fuzz_load.py 20000` for more."""

from fuzz_load import run


def test_mutated_files_load_or_are_refused() -> None:
    counts, failures = run(200)
    assert not failures
    assert counts["refused"] > 100 and counts["refused"] + counts["loaded"] == 200
