"""Every model that once failed, small: NAME.h5 or .keras, QKeras's outputs beside it, the reason in NAME.json."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from mcugen.errors import McugenError
from tests.fuzzing.batch import HostBatch
from tests.fuzzing.campaign import Case, equal, examine

HERE = Path(__file__).parent
MODELS = sorted([*HERE.glob("*.h5"), *HERE.glob("*.keras")])


@pytest.mark.parametrize("path", MODELS, ids=lambda path: path.stem)
def test_no_longer_fails(path: Path) -> None:
    told = json.loads(path.with_suffix(".json").read_text())
    try:
        case: Case = examine(told["spec"], path)
    except McugenError as error:
        assert told.get("refused", "never") in str(error)
        return
    equal(case.reference, HostBatch([case.made], sanitize=True).trace(0, case.inputs))
