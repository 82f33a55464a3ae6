"""What is known of every network from its publication or reconstruction; the zoo's table stands beside it.

MAC counts are pure multiply-accumulates in millions by weight bits, rounded as published; parameters in thousands.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

KIB = 1024
LFFD_SMALL = "at 160x120 no window fits the last stage without padding; the published count has none there; it is padded here"


@dataclass(frozen=True)
class Expected:
    """`mmacs`: millions of MAC by what they are, "1" for 1-bit weights, "other", or "all".
    `weight_bits`: exact.

    `flash`, `ram`: limits in bytes of the whole image; `arena`: of the tensors, inputs among them; `fused_`: with `--for ram`.
    `refused`: no image of it fits the board. `note`: what to know.
    """

    mmacs: Mapping[str, float] = field(default_factory=dict)
    weights: int | None = None
    weight_bits: int | None = None
    parameters: int | None = None
    flash: int | None = None
    ram: int | None = None
    arena: int | None = None
    fused_ram: int | None = None
    fused_arena: int | None = None
    refused: bool = False
    note: str = ""


EXPECTED: dict[str, Expected] = {
    "hybrid_a": Expected({"all": 25.80}, flash=600_000, ram=120_000, arena=73 * KIB),
    "hybrid_b": Expected(),
    "hybrid_q": Expected(),
    "mnv2_i8": Expected({"all": 17.78}, weights=844_496, arena=153 * KIB, fused_arena=75 * KIB),
    "qmobilefacenet_8": Expected({"all": 220.97}, 976_000, 7_808_000, 999_073, ram=1024 * KIB, fused_ram=512 * KIB),
    "qmobilefacenet_4": Expected({"all": 220.97}, 976_000, 3_904_000, 999_073),
    "qmobilefacenet_2": Expected({"all": 220.97}, 976_000, 1_952_000, 999_073),
    "qmobilefacenet_mixed": Expected(
        {"8": 7.2, "4": 187.5, "2": 26.2}, 976_000, 3_058_176, 999_073, flash=560_000, ram=420 * KIB, fused_ram=270 * KIB
    ),
    "binaryfacenet": Expected(
        {"1": 185.0, "other": 3.85},
        note="77.7 M of the 1-bit MAC make a positive factor before a sign; the compiler drops them",
    ),
    "quicknet_small": Expected({"1": 258.3, "other": 3.5}),
    "quicknet": Expected({"1": 431.8, "other": 6.9}),
    "quicknet_large": Expected({"1": 878.8, "other": 6.9}, refused=True),
    "binarydensenet28": Expected({"1": 893.3, "other": 50.1}),
    "binarydensenet37": Expected({"1": 1122.0, "other": 49.1}),
    "binarydensenet45": Expected({"1": 1600.0, "other": 59.8}, refused=True),
    "lffd_160x120_025": Expected({"all": 27.0}, parameters=96_000),
    "lffd_160x120_050": Expected({"all": 102.0}, parameters=381_000, note=LFFD_SMALL),
    "lffd_320x240_025": Expected({"all": 111.0}, parameters=96_000),
    "lffd_320x240_100": Expected(refused=True),
}
