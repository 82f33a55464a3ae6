"""Packed weights and bit tensors: round trips, and the C readers agree."""

import ctypes

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcugen.ir import TensorType
from mcugen.numerics.packing import from_bytes, pack_rows, pack_words, to_bytes, unpack_rows, unpack_words
from mcugen.resources import data_dir
from mcugen.toolchain import compile_native


def codes(bits: int, shape: tuple[int, ...], seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    if bits == 1:
        return rng.integers(0, 2, shape) * 2 - 1
    return rng.integers(-(1 << (bits - 1)), 1 << (bits - 1), shape)


@given(st.sampled_from([1, 2, 4, 8, 16]), st.integers(1, 5), st.integers(1, 40), st.integers(0, 1 << 30))
def test_rows_round_trip(bits: int, rows: int, count: int, seed: int) -> None:
    values = codes(bits, (rows, count), seed)
    packed = pack_rows(values, bits)
    assert packed.shape == (rows, -(-count * bits // 8))
    assert (unpack_rows(packed, bits, count) == values).all()


@given(st.integers(1, 4), st.integers(1, 70), st.integers(0, 1 << 30))
def test_words_round_trip(pixels: int, channels: int, seed: int) -> None:
    values = codes(1, (pixels, channels), seed)
    words = pack_words(values)
    assert words.shape == (pixels, -(-channels // 32)) and (unpack_words(words, channels) == values).all()


@pytest.fixture(scope="module")
def twin(tmp_path_factory: pytest.TempPathFactory) -> ctypes.CDLL:
    folder = tmp_path_factory.mktemp("twin")
    source = folder / "twin.c"
    lines = ['#include "mcu_numerics.h"']
    for bits in (1, 2, 4, 8, 16):
        lines.append(f"int32_t weight{bits}(const uint8_t *row, int32_t i);")
        lines.append(f"int32_t weight{bits}(const uint8_t *row, int32_t i) {{ return mcu_weight{bits}(row, i); }}")
    for bits in (2, 4):
        lines.append(f"int32_t field{bits}(const uint8_t *pixel, int32_t c);")
        lines.append(f"int32_t field{bits}(const uint8_t *pixel, int32_t c) {{ return mcu_field{bits}(pixel, c); }}")
        put = f"void put{bits}(uint8_t *pixel, int32_t c, int32_t code, int32_t whole)"
        lines.append(f"{put};\n{put} {{ mcu_put_field(pixel, c, code, {bits}, whole); }}")
    lines.append("int32_t rounded(float v, float lo, float hi);")
    lines.append("int32_t rounded(float v, float lo, float hi) { return mcu_round_clip(v, lo, hi); }")
    source.write_text("\n".join(lines) + "\n")
    library = ctypes.CDLL(str(compile_native([source], [data_dir("firmware")], folder / "twin.so", shared=True)))
    library.rounded.argtypes = [ctypes.c_float] * 3
    return library


@pytest.mark.parametrize("bits", [1, 2, 4, 8, 16])
def test_c_reads_what_python_packs(twin: ctypes.CDLL, bits: int) -> None:
    values = codes(bits, (1, 37), bits)
    data = pack_rows(values, bits).tobytes()
    read = [getattr(twin, f"weight{bits}")(data, i) for i in range(37)]
    assert read == values[0].tolist()


@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize("bits", [2, 4])
@pytest.mark.parametrize("channels", [1, 5, 8, 13])
def test_c_and_python_store_the_same_bytes(twin: ctypes.CDLL, bits: int, channels: int, signed: bool) -> None:
    lo = -(1 << (bits - 1)) if signed else 0
    kind = TensorType.of_codes((3, channels), lo, lo + (1 << bits) - 1, 1.0)
    values = np.random.default_rng(channels).integers(kind.lo, kind.hi + 1, (1, 3, channels))
    data = to_bytes(values, kind)
    assert kind.layout == "packed" and kind.bits == bits and data.shape == (1, kind.bytes)
    assert (from_bytes(data, kind) == values).all()
    read = twin[f"{'weight' if signed else 'field'}{bits}"]
    for pixel in range(3):
        row = data[0, pixel * kind.stride : (pixel + 1) * kind.stride].tobytes()
        assert [read(row, c) for c in range(channels)] == values[0, pixel].tolist()
        memory = ctypes.create_string_buffer(b"\xa5" * kind.stride, kind.stride)
        order = range(channels) if not kind.whole else np.random.default_rng(0).permutation(channels)
        for c in order:
            twin[f"put{bits}"](memory, int(c), int(values[0, pixel, c]), int(kind.whole))
        assert memory.raw == row


@given(st.floats(-3e5, 3e5, width=32))
def test_rounding_is_half_to_even(twin: ctypes.CDLL, value: float) -> None:
    for each in (value, np.floor(value) + 0.5):
        each = float(np.float32(each))
        assert twin.rounded(each, -32768.0, 32767.0) == int(np.clip(np.rint(each), -32768, 32767))


