"""QKeras quantizers in NumPy: read from files, evaluated without TensorFlow, equal to QKeras 0.9.0 bit for bit.

`parse` turns the forms found in model files into a `Quantizer`; its `weights`, `bias`, `codes` and `values` are the
meaning of the quantizer at inference. Where they leave QKeras's floats, the docstrings say so.
"""

from mcugen.quantizers.parse import parse
from mcugen.quantizers.quantizer import Grid, Quantized, Quantizer

__all__ = ["Grid", "Quantized", "Quantizer", "parse"]
