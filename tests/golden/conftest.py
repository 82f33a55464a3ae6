"""One run of TensorFlow and QKeras for all golden tests."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.tools import need_qkeras

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))


@pytest.fixture(scope="session")
def oracle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with what `oracle.py` writes."""
    need_qkeras()
    folder = tmp_path_factory.mktemp("oracle")
    command = [sys.executable, str(HERE / "oracle.py"), str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=1800)
    assert done.returncode == 0, done.stderr[-2000:]
    return folder
