"""Output stages that fast kernels finish by themselves: which channels, with what numbers.

C twin: mcu_finish and MCU_ROW of firmware/mcu_int8.h.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from mcugen.ir import Array, Int, Node, TensorType
from mcugen.kernels.int8_pack import eight_bits
from mcugen.numerics.epilogue import Epilogue, Fixed
from mcugen.numerics.guard import POST, guard
from mcugen.numerics.narrow import Pair

REACH = 4095  # largest offset in a load, a store or an addition
WIDEST = 255  # guard that MCU_ROW can compare with
PLAIN, GUARDED, ASKED = range(3)


@dataclass(frozen=True)
class Finish:
    """An output stage that MCU_ROW and MCU_PLANE finish by themselves: numbers as in `Fixed`, in `Guard` if width > 0.

    slow: channels that pass through the C stage; width: of the guard; operand: the residual's input, 0 if none; plain: of
    a guarded stage, the numbers of channels that need no guard (those not slow in it).
    """

    pre: int
    post: int
    lo: int
    hi: int
    mult: Int
    offset: Int
    slow: Array
    width: int = 0
    operand: int = 0
    shift: int = -1
    signed_operand: bool = False
    plain: Finish | None = None
    even: bool = False

    @property
    def how(self) -> Array:
        """How each channel pair is finished: PLAIN, GUARDED or ASKED (in the C stage)."""
        asked, slow = slow_pairs(self, len(self.slow)), slow_pairs(self.plain if self.width else self, len(self.slow))
        return np.where(~slow, PLAIN, np.where(asked, ASKED, GUARDED))

    def numbers(self, how: int) -> Finish:
        """The stage of the pairs finished so."""
        return self.plain if how == PLAIN and self.plain is not None else self

    @property
    def saturate(self) -> str:
        """SAT and BITS of firmware/mcu_int8.h."""
        bits = self.hi.bit_length()
        if (self.lo, self.hi) == (-127, 127):
            return "sym, 8"
        return f"ssat, {bits + 1}" if self.lo < 0 else f"usat, {bits}"

    @property
    def arguments(self) -> str:
        """The arguments of MCU_ROW from PRE on."""
        load = "ldrsb" if self.signed_operand else "ldrb"
        return f"{self.pre}, {self.post}, {self.saturate}, {load}, {self.shift}, {self.width}, {int(self.even)}"

    @property
    def limits(self) -> str:
        """Initialisers of a mcu_fixed."""
        return f"{self.pre}, {self.post}, {self.lo}, {self.hi}, {int(self.even)}"

    def plus(self, at: str) -> str:
        """What a residual adds to the offset of the element `at`."""
        return f" + in{self.operand}[{at}] * {1 << self.shift}" if self.shift >= 0 else ""

    def residual(self, at: str) -> str:
        return f"in{self.operand} + {at}" if self.shift >= 0 else "0"

    def line(self, signs: Int) -> Pair:
        """Multiplier and offset of every channel, of a dummy too where `signs` has one more."""
        channels = len(self.slow)
        plain, bare = self.numbers(PLAIN), np.repeat(self.how == PLAIN, 2)[:channels]
        mult, offset = (
            np.pad(np.where(bare, *pair), (0, len(signs) - channels), mode="edge")
            for pair in ((plain.mult, self.mult), (plain.offset, self.offset))
        )
        return Pair.of(mult * signs, offset)


def finish_of(node: Node, sources: Sequence[TensorType], guarded: bool = False) -> Finish | None:
    """The stage, if it is fixed or guarded for most channels, makes bytes with limits of whole bits, adds at most a residual.

    guarded: whether the kernel can detect the guard's bands.
    """
    epilogue: Epilogue = node.attrs["epilogue"]
    form, channels, residual = epilogue.form, node.type.channels, epilogue.residual
    finish = None
    if node.type.bits != 8 or node.type.layout != "hwc" or 2 * channels >= REACH:
        return None
    if isinstance(form, Fixed):
        mult, offset, slow = (np.broadcast_to(value, channels) for value in (form.mult, form.offset, ~form.proved))
        finish = Finish(form.pre, form.post, form.lo, form.hi, mult, offset, slow, even=form.even)
    if guarded and (finish is None or finish.slow.any()) and (line := guard(node)) is not None:
        slow = line.width > WIDEST
        width = int(line.width[~slow].max(initial=1))
        finish = Finish(line.pre, POST, line.lo, line.hi, line.mult, line.offset, slow, width, plain=finish)
    if finish is None or (finish.even and finish.post > 16) or 2 * int(finish.slow.sum()) > channels:
        return None
    top = finish.hi + 1
    whole = top & (top - 1) == 0 and finish.hi > 0 and finish.lo in (0, -top)
    if not whole and (finish.lo, finish.hi) != (-127, 127):
        return None
    if len(sources) == 1:
        return finish
    shift = form.residual_shift if isinstance(form, Fixed) else None
    if len(sources) > 2 or residual is None or shift is None or not eight_bits(sources[residual.operand]):
        return None
    return replace(finish, operand=residual.operand, shift=shift, signed_operand=sources[residual.operand].signed)


def slow_pairs(finish: Finish | None, channels: int) -> Array:
    """Channel pairs that pass through the C stage."""
    slow = np.ones(channels, bool) if finish is None else finish.slow
    slow = np.pad(slow, (0, channels % 2))
    return slow[0::2] | slow[1::2]
