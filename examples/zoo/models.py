"""The networks of the zoo by name, and how each is made: python models.py NAME OUTPUT.h5 [SEED]

Writes the model, and beside it OUTPUT.json (parameters as Keras counts them) and OUTPUT.npz (`images`: uint8 samples).
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_USE_LEGACY_KERAS", "1")
sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "faces"))

import binarydensenet
import binaryfacenet
import lffd
import mobilefacenet
import networks
import numpy as np
import quicknet
from calibrate import calibrate, made_up_images

QMOBILEFACENET = {"8": 8, "4": 4, "2": 2, "mixed": mobilefacenet.MIXED}
BUILDERS: dict[str, Callable[[], Any]] = {
    **networks.NETWORKS,
    **{f"qmobilefacenet_{name}": partial(mobilefacenet.qmobilefacenet, bits) for name, bits in QMOBILEFACENET.items()},
    **binaryfacenet.NETWORKS,
    **quicknet.NETWORKS,
    **binarydensenet.NETWORKS,
    **lffd.NETWORKS,
}


def write(model: Any, output: Path, seed: int = 1, samples: int = 4) -> None:
    """Calibrates and saves one network."""
    output.parent.mkdir(parents=True, exist_ok=True)
    calibrate(model, seed).save(output)
    np.savez(output.with_suffix(".npz"), images=made_up_images(samples, model.input_shape[1:], seed + 1))
    output.with_suffix(".json").write_text(json.dumps({"parameters": model.count_params()}) + "\n")


if __name__ == "__main__":
    write(BUILDERS[sys.argv[1]](), Path(sys.argv[2]), *map(int, sys.argv[3:4]))
