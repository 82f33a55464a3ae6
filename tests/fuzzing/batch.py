"""Many generated models in one native executable: one compiler run and one link for all of them."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from mcugen.boards import load_board
from mcugen.ir import Array, Graph
from mcugen.numerics.packing import from_bytes, to_bytes
from mcugen.pipeline import Compiled, compile_graph
from mcugen.resources import data_dir
from mcugen.toolchain import WARNINGS, native_compiler, run

SANITIZERS = ("-fsanitize=address,undefined", "-fno-sanitize-recover=all")
CHOOSE_H = '#include "mcu_model.h"\nextern const mcu_model *mcu_chosen;\n'
CHOOSE_C = """#include <stdlib.h>
#include "model.h"
{declarations}
static const mcu_model *const all[] = {{ {addresses} }};
const mcu_model *mcu_chosen;
__attribute__((constructor)) static void choose(void) {{ mcu_chosen = all[atoi(getenv("MCU_NUMBER"))]; }}
"""


def compiled(graph: Graph, goal: str = "time") -> Compiled:
    """C for the H743."""
    return compile_graph(graph, load_board("nucleo-h743zi"), goal)


class HostBatch:
    """Compiled models, each with its own name; `trace` runs one of them."""

    def __init__(self, models: Sequence[Compiled], sanitize: bool = False) -> None:
        self.models = list(models)
        self._folder = tempfile.TemporaryDirectory(prefix="mcugen-batch-")
        folder = Path(self._folder.name)
        paths = []
        for made in self.models:
            place = folder / made.sources.model
            place.mkdir()
            for name, text in made.sources.files.items():
                (place / name).write_text(text)
            paths.append(place / "model.c")
        names = [made.sources.model for made in self.models]
        declarations = "".join(f"extern const mcu_model {name}_model;\n" for name in names)
        addresses = ", ".join(f"&{name}_model" for name in names)
        (folder / "model.h").write_text(CHOOSE_H)
        (folder / "choose.c").write_text(CHOOSE_C.format(declarations=declarations, addresses=addresses))
        self.program = folder / "models"
        firmware = data_dir("firmware")
        sources = [folder / "choose.c", firmware / "host" / "host.c", *paths]
        flags = [*WARNINGS, "-O1", *(SANITIZERS if sanitize else ()), "-DMCU_APP=(*mcu_chosen)", f"-I{folder}", f"-I{firmware}"]
        run([*native_compiler(), *flags, *map(str, sources), "-o", str(self.program), "-lm"], "compiling the batch")

    def trace(self, number: int, inputs: Sequence[Array]) -> dict[str, Array]:
        """Every step's tensor by node name, codes or floats; raises AssertionError with the program's complaint."""
        made = self.models[number]
        graph = made.graph
        kinds = [graph[name].type for name in made.sources.steps]
        given = [to_bytes(x, graph[name].type).reshape(len(x), -1) for name, x in zip(graph.inputs, inputs, strict=True)]
        stdin = np.concatenate(given, axis=1).tobytes()
        environment = {**os.environ, "MCU_NUMBER": str(number)}
        command = [self.program, "trace"]
        done = subprocess.run(command, input=stdin, capture_output=True, timeout=120, env=environment, check=False)
        sizes = np.cumsum([0, *(kind.bytes for kind in kinds)])
        count = len(inputs[0])
        assert done.returncode == 0, done.stderr.decode(errors="replace")[:3000]
        assert len(done.stdout) == count * int(sizes[-1]), "the compiled model wrote too little"
        data = np.frombuffer(done.stdout, np.uint8).reshape(count, -1)
        parts = [from_bytes(data[:, a:b], kind) for a, b, kind in zip(sizes, sizes[1:], kinds, strict=False)]
        return dict(zip(made.sources.steps, parts, strict=True))
