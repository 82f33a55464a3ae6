"""Small networks written by hand, layer by layer, with random weights; some channels may do nothing."""

from __future__ import annotations

from typing import Any

import numpy as np

from mcugen.ir import Network
from mcugen.quantizers import parse
from tests.random_network import NetworkMaker

EIGHT = "quantized_bits(8,0,1,alpha=1)"
NONE = slice(0)


class HandMaker(NetworkMaker):
    """Layers one after another; each method returns the name of what it added last."""

    def __init__(self, shape: tuple[int, int, int] = (6, 5, 3)) -> None:
        super().__init__(7)
        self.extreme = False
        image = self.add("InputLayer", {"shape": shape}, (), shape)
        self.last = self.activation(image, "quantized_bits(8,0,1)")

    def quantized(self, text: str) -> str:
        self.last = self.activation(self.last, text)
        return self.last

    def convolved(
        self, out: int, size: int = 1, padding: str = "same", weights: str = EIGHT, zero: slice = NONE, unread: slice = NONE
    ) -> str:
        """zero: outputs without weights; unread: inputs without."""
        h, w, c = self.shapes[self.last]
        shape = (h, w, out) if padding == "same" else (h - size + 1, w - size + 1, out)
        kernel = self.rng.normal(0, 0.4, (size, size, c, out))
        kernel[..., zero], kernel[:, :, unread] = 0, 0
        config = {"strides": (1, 1), "padding": padding, "dilation_rate": (1, 1), "groups": 1, "activation": None,
                  "use_bias": False, "kernel_quantizer": parse(weights, "w")}  # fmt: skip
        self.last = self.add("QConv2D", config, (self.last,), shape, kernel=kernel)
        return self.last

    def depthwise(self, padding: str = "same") -> str:
        h, w, c = self.shapes[self.last]
        shape = (h, w, c) if padding == "same" else (h - 2, w - 2, c)
        config = {"strides": (1, 1), "padding": padding, "dilation_rate": (1, 1), "groups": 1, "activation": None,
                  "use_bias": False, "depthwise_quantizer": parse(EIGHT, "w")}  # fmt: skip
        kernel = self.rng.normal(0, 0.4, (3, 3, c, 1))
        self.last = self.add("QDepthwiseConv2D", config, (self.last,), shape, depthwise_kernel=kernel)
        return self.last

    def normed(self, beta: Any = None, zero: slice = NONE) -> str:
        """zero: channels without gamma."""
        n = self.shapes[self.last][-1]
        gamma = self.rng.uniform(0.5, 1.5, n)
        gamma[zero] = 0
        beta = self.rng.uniform(-0.3, 0.3, n) if beta is None else np.full(n, beta)
        numbers = {"gamma": gamma, "beta": beta, "moving_mean": np.zeros(n), "moving_variance": self.rng.random(n) + 0.1}
        config = {"epsilon": 1e-3, "axis": -1}
        self.last = self.add("BatchNormalization", config, (self.last,), self.shapes[self.last], **numbers)
        return self.last

    def added(self, other: str) -> str:
        self.last = self.add("Add", {}, (other, self.last), self.shapes[other])
        return self.last

    def network(self) -> Network:
        return Network("by_hand", tuple(self.layers), ("l0",), (self.last,))
