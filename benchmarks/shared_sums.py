"""What sharing partial sums between output channels would bring to binary convolutions; see docs/performance.md.

    python benchmarks/shared_sums.py
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from mcugen.profile.bare import BareMachine, build_bare
from mcugen.profile.model import ALL_HITS
from mcugen.resources import data_dir

HERE = Path(__file__).parent
FLAGS = ("-O3", "-std=c11", "-ffreestanding", "-fno-sanitize=undefined")


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        for toolchain in ("gcc", "zig"):
            elf = Path(folder) / f"{toolchain}.elf"
            build_bare([HERE / "shared_sums.c"], elf, toolchain, FLAGS, [data_dir("firmware")])
            for terms in (144, 576, 1152):
                for channels in (1, 2, 3, 4):
                    machine = BareMachine(elf, memory=ALL_HITS)
                    machine.call("prepare", [terms, channels])
                    sums = machine.call("run", [channels]).counts
                    lists = machine.call("list", [terms]).counts.modelled_cycles
                    macs = 32 * terms * channels
                    print(f"{toolchain}: {terms} terms, {channels} channels: {sums.instructions / macs:.3f} inst/MAC, "
                          f"{macs / sums.modelled_cycles:.1f} MAC/cycle; a list {lists} cycles")  # fmt: skip


if __name__ == "__main__":
    main()
