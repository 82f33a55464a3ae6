"""Data flows one way: every module can be imported first, so no two packages need each other."""

from __future__ import annotations

import subprocess
import sys

ALONE = """
import importlib, pkgutil, sys
import mcugen
names = sorted(module.name for module in pkgutil.walk_packages(mcugen.__path__, "mcugen.") if "__main__" not in module.name)
broken = []
for name in names:
    for loaded in [each for each in sys.modules if each.split(".")[0] == "mcugen"]:
        del sys.modules[loaded]
    try:
        importlib.import_module(name)
    except ImportError as error:
        broken.append(f"{name}: {error}")
print(len(names))
print("\\n".join(broken))
"""


def test_every_module_can_be_imported_first() -> None:
    done = subprocess.run([sys.executable, "-c", ALONE], capture_output=True, text=True, timeout=300, check=True)
    count, *broken = done.stdout.split("\n")
    assert int(count) > 100
    assert not any(broken), "\n".join(broken)
