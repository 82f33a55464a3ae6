"""The networks of the zoo by name, and how each is made: python models.py NAME OUTPUT.h5 [SEED]

Writes the model and, beside it, OUTPUT.json with the number of its parameters as Keras counts them.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_USE_LEGACY_KERAS", "1")
sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "faces"))

import binarydensenet
import binaryfacenet
import lffd
import mobilefacenet
import networks
import quicknet
from calibrate import calibrate

BUILDERS: dict[str, Callable[[], Any]] = {
    **networks.NETWORKS,
    **mobilefacenet.NETWORKS,
    **binaryfacenet.NETWORKS,
    **quicknet.NETWORKS,
    **binarydensenet.NETWORKS,
    **lffd.NETWORKS,
}


def write(name: str, output: Path, seed: int = 1) -> None:
    """Builds, calibrates and saves one network."""
    model = calibrate(BUILDERS[name](), seed)
    output.parent.mkdir(parents=True, exist_ok=True)
    model.save(output)
    output.with_suffix(".json").write_text(json.dumps({"parameters": model.count_params()}) + "\n")


if __name__ == "__main__":
    write(sys.argv[1], Path(sys.argv[2]), *map(int, sys.argv[3:4]))
