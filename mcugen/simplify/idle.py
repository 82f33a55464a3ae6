"""Drops what provably changes nothing: a positive factor before a sign, and the layers that only made the factor."""

from __future__ import annotations

from dataclasses import replace

from mcugen.ir import Layer, Network
from mcugen.quantizers import Quantizer


def drop_idle(network: Network) -> Network:
    """Replaces x * f by x where only signs are taken of the product and f is positive whatever the input.

    x is a quantized activation and f a quantized_sigmoid with symmetric=True, whose least value is 2**-bits: the float32
    product is zero only where x is, and has x's sign elsewhere.
    """
    by_name = {layer.name: layer for layer in network.layers}
    stands_for: dict[str, str] = {}
    for layer in network.layers:
        users = [user for user in network.layers if layer.name in user.inputs]
        kept = _kept(layer, by_name) if layer.class_name == "Multiply" else None
        if kept is not None and layer.name not in network.outputs and users and all(map(_takes_sign, users)):
            stands_for[layer.name] = kept
    if not stands_for:
        return network
    layers = [replace(each, inputs=tuple(stands_for.get(name, name) for name in each.inputs)) for each in network.layers]
    return replace(network, layers=_needed(layers, network))


def _kept(product: Layer, by_name: dict[str, Layer]) -> str | None:
    """The input that gives the product its sign, when the other is a positive factor."""
    if len(product.inputs) != 2:
        return None
    first, second = product.inputs
    for factor, other in ((first, second), (second, first)):
        quantizer, values = _quantizer(by_name[factor]), _quantizer(by_name[other])
        if quantizer is not None and quantizer.kind == "quantized_sigmoid" and quantizer.lo > 0 and values is not None:
            return other
    return None


def _takes_sign(layer: Layer) -> bool:
    quantizer = _quantizer(layer)
    return quantizer is not None and quantizer.kind == "binary" and quantizer.bipolar


def _quantizer(layer: Layer) -> Quantizer | None:
    found = layer.config.get("activation") if layer.class_name == "QActivation" else None
    return found if isinstance(found, Quantizer) else None


def _needed(layers: list[Layer], network: Network) -> tuple[Layer, ...]:
    """The layers that an output depends on, and all inputs."""
    needed = {*network.outputs, *network.inputs}
    for layer in reversed(layers):
        if layer.name in needed:
            needed.update(layer.inputs)
    return tuple(layer for layer in layers if layer.name in needed)
