"""Random models as JSON: which layers, their settings, how they are wired; drawn from one integer without TensorFlow.

A spec is {"seed", "extreme", "inputs": {name: shape}, "layers": [{"class", "name", "inputs", "config"}], "outputs",
"format", "images"}. A layer's "share" names an earlier layer that is called once more; "part", where it is not None, is the
number of a layer from which on a chain of at most three becomes a model inside the model, and "sequential" asks for
Sequential models where they are chains; quantizers are strings or serialized objects.
"""

from __future__ import annotations

import contextlib

import numpy as np

from mcugen.errors import McugenError
from tests.fuzzing.layers import conv, dense, elementwise, global_pool, merge, pool, recurrent, reshaping
from tests.fuzzing.maker import Json, Maker
from tests.fuzzing.quantizers import INPUTS, PLAIN_ACTIVATIONS

LONGEST = 6  # time steps of a recurrent layer


def joined(m: Maker, made: str, seen: list[str]) -> str:
    """`made` merged with an earlier tensor of equal shape, else of equal height and width, where there is one."""
    equal = [name for name in seen if m.shapes[name] == m.shapes[made]]
    beside = [name for name in seen if m.shapes[name][:-1] == m.shapes[made][:-1]]
    chosen = equal or (beside if m.chance(0.4) else [])
    return merge(m, m.pick(*chosen), made) if chosen else made


def block(m: Maker, source: str, seen: list[str]) -> str:
    """A sum, what follows it, its quantizer, perhaps a merge with an earlier tensor."""
    shape = m.shapes[source]
    made = recurrent(m, source) if len(shape) == 2 and shape[0] <= LONGEST and m.chance(0.6) else conv(m, source)
    twins = [name for name in seen if name != source and m.shapes[name] == shape]
    if twins and m.chance(0.3):
        made = merge(m, made, m.again(made, m.pick(*twins)))
    while m.chance(0.45):
        made = elementwise(m, made)
    if m.chance(0.25):
        made = joined(m, made, seen)
    if m.chance(0.96):
        made = m.act(made)
    if m.chance(0.25):
        made = joined(m, made, seen)
        if m.chance(0.7):
            made = m.act(made)
    if m.chance(0.25):
        made = pool(m, made)
        if m.chance(0.6):
            made = m.act(made)
    if m.chance(0.2):
        made = reshaping(m, made)
    return made


def draw(seed: int) -> Json:
    """The spec of model number `seed`; combinations that the loader finds contradictory are drawn again."""
    for attempt in range(100):
        with contextlib.suppress(McugenError):
            return attempted(seed, attempt)
    raise AssertionError(f"no model for seed {seed}")


def attempted(seed: int, attempt: int) -> Json:
    m = Maker(seed, attempt)
    square = (m.whole(3, 8), m.whole(3, 8), m.pick(1, 2, 3, 4, 5))
    sequence = (m.whole(2, 10), m.pick(1, 2, 3))
    image = m.pick(square, square, square, square, sequence, sequence, (m.pick(4, 9, 20),))
    source = m.input(image)
    if m.chance(0.9):
        source = m.act(source, *INPUTS)
    seen = [source]
    if m.chance(0.15):
        other = m.input(image)
        if m.chance(0.5):
            seen.append(m.act(other, *INPUTS))
        else:
            source = m.act(merge(m, source, m.act(other, *INPUTS) if m.chance(0.8) else other))
            seen = [source]
    for _ in range(m.whole(1, 4)):
        if np.prod(m.shapes[source]) > 2500:
            break
        source = block(m, source, seen)
        seen.append(source)
    outputs = [ending(m, source)]
    if m.chance(0.12) and seen[-1] not in (*outputs, *m.inputs):
        outputs.append(seen[-1])
    spec = {"seed": seed, "extreme": m.chance(0.12), "inputs": {k: list(v) for k, v in m.inputs.items()}, "layers": m.layers,
            "outputs": outputs, "format": m.pick("h5", "h5", "keras"), "images": 3, "sequential": m.chance(0.3),
            "part": m.whole(1, 8) if m.chance(0.25) else None}  # fmt: skip
    return pruned(spec)


def ending(m: Maker, source: str) -> str:
    """Nothing, or a classifier: pooling or flatten, dense, softmax and its kin."""
    if m.chance(0.3):
        return source
    if len(m.shapes[source]) > 1:
        source = global_pool(m, source) if m.chance(0.5) else m.add("Flatten", source)
    if m.chance(0.5):
        source = m.act(source)
    source = dense(m, source)
    if m.chance(0.1) and m.shapes[source] == m.shapes[m.layers[-1]["inputs"][0]]:
        source = m.again(source, m.act(source, *PLAIN_ACTIVATIONS[:6]))
    if m.chance(0.35):
        kind = m.whole(0, 4)
        if kind == 0:
            source = m.add("Softmax", source)
        elif kind == 1:
            source = m.add("UnitNormalization", source)
        elif kind == 2:
            source = m.add("Dropout", source, rate=0.5)
        else:
            source = m.add("Activation", source, activation=m.pick("softmax", "sigmoid", "tanh"))
    return source


def pruned(spec: Json) -> Json:
    """The spec without layers and inputs that no output needs."""
    needed = set(spec["outputs"])
    for layer in reversed(spec["layers"]):
        if layer["name"] in needed:
            needed.update(layer["inputs"])
            needed.update([layer["share"]] if "share" in layer else [])
    layers = [layer for layer in spec["layers"] if layer["name"] in needed]
    return {**spec, "layers": layers, "inputs": {k: v for k, v in spec["inputs"].items() if k in needed}}
