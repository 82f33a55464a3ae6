"""Recurrent layers, unrolled: each time step is its products, sums and activations in QKeras's own float32 order.

The states start at zero, so the first step has no recurrent product. Equal steps share one C function (mcugen/codegen/emit.py).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from mcugen.errors import McugenError
from mcugen.ir import Float, Layer
from mcugen.normalise.builder import Builder, rule
from mcugen.normalise.elementwise import CURVES, activate
from mcugen.normalise.weighted import hwio, product, quantized_bias
from mcugen.numerics.epilogue import Step
from mcugen.quantizers import Quantizer

MAX_STEPS = 128


@dataclass(frozen=True)
class Cell:
    """One time step `name` of a layer: the node of its input and, from the second step on, of the quantized state."""

    b: Builder
    layer: Layer
    name: str
    source: str
    state: str | None
    bias: Float | None

    def sums(self, part: str, gate: int, recurrent: bool = True) -> str:
        """x K + b + h R of one gate (x K + h R + b where implementation is 2), before its activation."""
        units, b = self.layer.config["units"], self.b
        columns = slice(gate * units, (gate + 1) * units)
        name = f"{self.name}/{part}"
        made = self.product(f"{name}/input/sum", "kernel", self.source, columns)
        bias = [] if self.bias is None else [Step("add", self.bias[columns])]
        late = self.layer.class_name == "QLSTM" and self.layer.config["implementation"] == 2
        if bias and not late:
            made = b.map(f"{name}/bias", made, *bias)
        if self.state is not None and recurrent:
            inner = self.product(f"{name}/state/sum", "recurrent_kernel", self.state, columns)
            made = b.map(f"{name}/added", inner, Step("add_tensor", operand=1), others=[made])
        return b.map(f"{name}/bias", made, *bias) if bias and late else made

    def product(self, name: str, weights: str, source: str, columns: slice) -> str:
        quantizer = self.layer.config[f"{weights.removesuffix('_kernel')}_quantizer"]
        return product(self.b, self.layer, name, source, hwio(self.layer.weights[weights][:, columns]), quantizer)

    def gate(self, part: str, gate: int, key: str = "recurrent_activation") -> str:
        return activate(self.b, f"{self.name}/{part}", self.sums(part, gate), self.layer.config[key])

    def times(self, part: str, first: str, second: str) -> str:
        return self.b.map(f"{self.name}/{part}", first, Step("mul_tensor", operand=1), others=[second])

    def plus(self, part: str, first: str, second: str) -> str:
        return self.b.map(f"{self.name}/{part}", first, Step("add_tensor", operand=1), others=[second])


def check(layer: Layer, steps: int) -> None:
    """Refuses what is not one walk over a few steps from a state of zeros."""
    config = layer.config
    if steps > MAX_STEPS:
        fact = f"it runs over {steps} time steps, at most {MAX_STEPS} are supported"
        raise McugenError(layer.name, fact, "shorten the sequence before it: QConv1D with strides, or MaxPooling1D")
    if layer.class_name == "QGRU" and config["recurrent_quantizer"] is None:
        fact = "without a recurrent_quantizer QKeras 0.9.0 takes the kernel in place of the recurrent kernel"
        raise McugenError(layer.name, fact, "set recurrent_quantizer")
    for key in ("activation", "recurrent_activation"):
        if config.get(key) in CURVES:
            fact = f"its {key} {config[key]} is computed in float32, which a recurrence does not repeat exactly"
            raise McugenError(layer.name, fact, f"use quantized_{config[key].replace('softmax', 'sigmoid')}")
    quantizer, keys = config["state_quantizer"], [key for key in ("activation", "recurrent_activation") if key in config]
    grids = layer.class_name != "QGRU" and all(isinstance(config[key], Quantizer) for key in keys)
    if quantizer is None and not grids:
        raise McugenError(layer.name, "its state gains bits with every time step", "set state_quantizer")
    if quantizer is not None and float(quantizer.values(np.zeros(1, np.float32))[0]) != 0:
        fact = f"its state quantizer {quantizer.kind} turns the first state, 0, into another value"
        raise McugenError(layer.name, fact, "use a state quantizer that keeps 0: quantized_bits")


def cells(b: Builder, layer: Layer) -> Iterator[tuple[str, str]]:
    """The name of each time step and the node of its input (1, channels), in the order of processing."""
    steps, channels = b.shape(layer)
    check(layer, steps)
    order = range(steps)[::-1] if layer.config["go_backwards"] else range(steps)
    for number, time in enumerate(order):
        name = f"{layer.name}/step{number}"
        yield name, b.add(f"{name}/input", "resize", (b.source(layer),), (1, channels), offset=(0, time), repeat=(1, 1))


def quantized_state(b: Builder, layer: Layer, state: str) -> str:
    return activate(b, f"{state}/quantized", state, layer.config["state_quantizer"])


def result(b: Builder, layer: Layer, outputs: list[str]) -> str:
    """The last step's output, or all of them, as the layer's own node."""
    units = layer.config["units"]
    if not layer.config["return_sequences"]:
        return b.add(layer.name, "reshape", (outputs[-1],), (units,))
    joined = outputs[0]
    if len(outputs) > 1:
        joined = b.add(f"{layer.name}/joined", "concat", outputs, (1, units * len(outputs)))
    return b.add(layer.name, "reshape", (joined,), (len(outputs), units))


@rule("QSimpleRNN")
def simple(b: Builder, layer: Layer) -> str:
    """h = activation(x K + b + state(h) R)."""
    outputs: list[str] = []
    for name, source in cells(b, layer):
        state = quantized_state(b, layer, outputs[-1]) if outputs else None
        cell = Cell(b, layer, name, source, state, quantized_bias(layer))
        outputs.append(activate(b, f"{name}/output", cell.sums("sum", 0), layer.config["activation"]))
    return result(b, layer, outputs)


@rule("QLSTM")
def lstm(b: Builder, layer: Layer) -> str:
    """c = f * state(c) + i * activation(.); h = o * activation(c)."""
    outputs: list[str] = []
    carry = ""
    for name, source in cells(b, layer):
        state = quantized_state(b, layer, outputs[-1]) if outputs else None
        cell = Cell(b, layer, name, source, state, quantized_bias(layer))
        made = cell.times("new", cell.gate("i", 0), cell.gate("c", 2, "activation"))
        if outputs:
            made = cell.plus("carry", cell.times("kept", cell.gate("f", 1), quantized_state(b, layer, carry)), made)
        carry = made
        shown = activate(b, f"{name}/shown", carry, layer.config["activation"])
        outputs.append(cell.times("output", cell.gate("o", 3), shown))
    return result(b, layer, outputs)


@rule("QGRU")
def gru(b: Builder, layer: Layer) -> str:
    """h = z * state(h) + (1 - z) * activation(x K + b + (r * state(h)) R)."""
    outputs: list[str] = []
    units = layer.config["units"]
    for name, source in cells(b, layer):
        state = quantized_state(b, layer, outputs[-1]) if outputs else None
        cell = Cell(b, layer, name, source, state, quantized_bias(layer))
        z, made = cell.gate("z", 0), cell.sums("h", 2, recurrent=False)
        if state is not None:
            reset = cell.times("reset", cell.gate("r", 1), state)
            inner = cell.product(f"{name}/reset/sum", "recurrent_kernel", reset, slice(2 * units, 3 * units))
            made = cell.plus("candidate", inner, made)
        made = activate(b, f"{name}/h", made, layer.config["activation"])
        rest = b.map(f"{name}/rest", z, Step("mul", np.float32(-1)), Step("add", np.float32(1)))
        made = cell.times("output" if state is None else "new", rest, made)
        if state is not None:
            made = cell.plus("output", cell.times("kept", z, state), made)
        outputs.append(made)
    return result(b, layer, outputs)
