"""Keras layers -> a graph of few operators, still in float: the layer's meaning, none of its options.

Layers that only rename, drop or compose vanish here. A layer's last node carries the layer's name, earlier ones
"layer/part". All elementwise work is the operator `map` with float32 steps in TensorFlow's own order (docs/numerics.md).
One file a kind of layer; each registers its rules in `builder.RULES`.
"""

from __future__ import annotations

from mcugen.errors import McugenError
from mcugen.ir import Graph, Network
from mcugen.normalise import elementwise, norms, pooling, recurrent, shaping, weighted
from mcugen.normalise.builder import RULES, Builder

__all__ = ["RULES", "normalise"]
_RULE_FILES = (elementwise, norms, pooling, recurrent, shaping, weighted)


def normalise(network: Network) -> Graph:
    """One node an arithmetic step; types are float throughout, shapes are checked.

    Raises:
        McugenError: a layer without a rule, or whose rule refuses its settings.
    """
    builder = Builder()
    for layer in network.layers:
        if layer.class_name not in RULES:
            raise McugenError(layer.name, f"layer {layer.class_name} is not supported", "replace it; see docs/coverage.md")
        builder.alias[layer.name] = RULES[layer.class_name](builder, layer)
    _curves_end(builder)
    resolve = builder.alias.__getitem__
    return Graph(
        network.name,
        tuple(builder.nodes),
        tuple(resolve(name) for name in network.inputs),
        tuple(resolve(name) for name in network.outputs),
        network.digest,
    )


def _curves_end(builder: Builder) -> None:
    """Softmax and its kin leave every grid and differ from TensorFlow by an ulp: nothing may follow them."""
    for node in builder.nodes:
        for source in (builder.by_name(name) for name in node.inputs):
            if source.op == "curve" and node.op != "reshape":
                fact = f"{source.attrs['curve']} is computed in float32, which only the end of a model may be"
                remedy = "use QActivation with quantized_sigmoid or quantized_tanh, or leave it out"
                raise McugenError(source.name, fact, remedy)
