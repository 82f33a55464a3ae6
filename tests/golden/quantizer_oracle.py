"""What QKeras returns for every case, run by the golden test in a process of its own: quantizer_oracle.py OUT.npz."""

import os
import sys

os.environ.update(TF_USE_LEGACY_KERAS="1", TF_ENABLE_ONEDNN_OPTS="0", TF_CPP_MIN_LOG_LEVEL="3")

import numpy as np
import tensorflow as tf
from qkeras.quantizers import get_quantizer

sys.path.insert(0, os.path.dirname(__file__))
from quantizer_cases import cases

results = {}
for key, text, role, value in cases():
    quantizer = get_quantizer(text)
    if isinstance(quantizer, type):
        quantizer = quantizer()
    if role == "kernel" and hasattr(quantizer, "_set_trainable_parameter"):
        quantizer._set_trainable_parameter()
    try:
        results[key] = np.asarray(quantizer(tf.constant(value)), np.float32)
    except Exception as error:
        results[key + " failed"] = np.asarray(str(error)[:200])
np.savez(sys.argv[1], **results)
