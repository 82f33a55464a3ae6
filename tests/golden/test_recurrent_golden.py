"""Recurrent layers against QKeras in the golden environment, step by step on the host."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from mcugen.cli import main
from mcugen.pipeline import compile_model
from tests.tools import need_qkeras

MAKE = """
import os, sys
os.environ.update(TF_USE_LEGACY_KERAS="1", TF_ENABLE_ONEDNN_OPTS="0")
from mcugen.reference import imported
tf = imported()
import numpy as np
from qkeras import QActivation, QDense, QGRU, QLSTM, QSimpleRNN, binary, quantized_bits

def bits(width=4, integer=0):
    return quantized_bits(width, integer, 1, alpha=1)

def save(file, *layers):
    image = tf.keras.Input((6, 3), name="image")
    x = QActivation("quantized_bits(8,1,1,alpha=1)", name="codes")(image)
    for layer in layers:
        x = layer(x)
    model, rng = tf.keras.Model(image, x), np.random.default_rng(2)
    model.set_weights([rng.normal(size=each.shape).astype(np.float32) / 2 for each in model.get_weights()])
    model.save(f"{sys.argv[1]}/{file}", save_format="keras" if file.endswith("keras") else "h5")

def made(cls, **changes):
    settings = dict(kernel_quantizer=bits(), recurrent_quantizer=bits(), bias_quantizer=bits(8, 1),
                    activation="quantized_tanh(6)")
    if cls is not QSimpleRNN:
        settings |= dict(recurrent_activation="quantized_sigmoid(5)", state_quantizer=bits(8, 1))
    return cls(5, name="rnn", **{**settings, **changes})

auto = lambda: quantized_bits(4, 0, 1)
save("simple.h5", made(QSimpleRNN))
save("simple_state.keras", made(QSimpleRNN, return_sequences=True, state_quantizer=bits(4, 1), kernel_quantizer=auto(),
                                recurrent_quantizer=auto()))
save("simple_back.h5", made(QSimpleRNN, return_sequences=True, go_backwards=True, use_bias=False, activation=bits(8, 1)),
     QDense(2, kernel_quantizer=bits(), bias_quantizer=bits()))
save("simple_signs.h5", made(QSimpleRNN, activation=binary(alpha=1), kernel_quantizer=binary(alpha=1)))
save("lstm.h5", made(QLSTM))
save("lstm_fused.keras", made(QLSTM, implementation=2, return_sequences=True))
save("lstm_free.h5", made(QLSTM, state_quantizer=None, go_backwards=True))
save("gru.h5", made(QGRU))
save("gru_fused.keras", made(QGRU, implementation=2, return_sequences=True, go_backwards=True))
"""
FILES = ["simple.h5", "simple_state.keras", "simple_back.h5", "simple_signs.h5", "lstm.h5", "lstm_fused.keras", "lstm_free.h5",
         "gru.h5", "gru_fused.keras"]  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    need_qkeras()
    path = tmp_path_factory.mktemp("recurrent")
    done = subprocess.run([sys.executable, "-c", MAKE, str(path)], capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return path


@pytest.mark.xdist_group("golden")
@pytest.mark.parametrize("file", FILES)
def test_every_value_equals_qkeras(folder: Path, file: str) -> None:
    result = CliRunner().invoke(main, ["verify", str(folder / file), "--on", "host", "--samples", "20", "--qkeras"])
    assert result.exit_code == 0, result.output
    rows = [line.split() for line in result.output.splitlines() if "reference against QKeras" in line]
    assert rows and rows[0][3] == rows[0][5], result.output


@pytest.mark.xdist_group("golden")
def test_equal_steps_share_one_function(folder: Path) -> None:
    """The first step has no recurrent product; all later ones call one function, so the weights are in flash once."""
    steps = compile_model(folder / "simple.h5").sources.steps
    assert len({steps[f"rnn/step{number}/output"] for number in range(1, 6)}) == 1
    assert len({steps[f"rnn/step{number}/sum/bias"] for number in range(1, 6)}) == 1
