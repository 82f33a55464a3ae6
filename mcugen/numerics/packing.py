"""Weights and tensors as bytes and words; twins of the readers in firmware/mcu_numerics.h."""

from __future__ import annotations

import numpy as np

from mcugen.ir import Array, Int, TensorType

_DTYPES = {"float": "<f4", "int8_t": "i1", "uint8_t": "u1", "int16_t": "<i2", "uint16_t": "<u2", "int32_t": "<i4"}


def weight_bits(kind: TensorType) -> int:
    """Bits one weight takes in flash: 1 (bipolar), 2, 4, 8 or 16."""
    if kind.bipolar:
        return 1
    for bits in (2, 4, 8, 16):
        if -(1 << (bits - 1)) <= kind.lo and kind.hi < 1 << (bits - 1):
            return bits
    return 32


def pack_rows(rows: Int, bits: int, whole: bool = False) -> Array:
    """Codes (rows, n) to bytes, `bits` each, lowest bits first; every row starts at a byte unless `whole`.

    Bit codes are -1 and +1, stored as 0 and 1; wider codes are two's complement. 1, 2, 4, 8, 16, 32 bits.
    """
    if bits >= 8:
        return np.ascontiguousarray(rows, f"<i{bits // 8}").reshape(rows.shape[0], -1).view(np.uint8)
    fields = ((rows + 1) >> 1 if bits == 1 else rows & ((1 << bits) - 1)).astype(np.uint8)
    if whole:
        fields = fields.reshape(1, -1)
    each = 8 // bits
    fields = np.pad(fields, ((0, 0), (0, -fields.shape[1] % each))).reshape(fields.shape[0], -1, each)
    packed: Array = np.bitwise_or.reduce(fields << (np.arange(each, dtype=np.uint8) * bits), axis=-1)
    return packed.astype(np.uint8)


def unpack_rows(data: Array, bits: int, count: int, signed: bool = True) -> Int:
    """Inverse of `pack_rows` for rows of `count` codes; signed: whether codes below 8 bits are two's complement."""
    if bits >= 8:
        return data.view(f"<i{bits // 8}").astype(np.int64)
    each = 8 // bits
    fields = (data[:, :, None] >> (np.arange(each, dtype=np.uint8) * bits)) & ((1 << bits) - 1)
    codes = fields.reshape(data.shape[0], -1)[:, :count].astype(np.int64)
    if bits == 1:
        return codes * 2 - 1
    return codes - ((codes >> (bits - 1)) << bits) if signed else codes


def pack_words(codes: Int) -> Array:
    """Codes -1/+1 (..., channels) to uint32 (..., words): bit c % 32 of word c // 32, unused bits 0."""
    bits = codes > 0
    bits = np.pad(bits, [(0, 0)] * (codes.ndim - 1) + [(0, -codes.shape[-1] % 32)])
    return np.ascontiguousarray(np.packbits(bits, axis=-1, bitorder="little")).view("<u4")


def unpack_words(words: Array, channels: int) -> Int:
    """Inverse of `pack_words`."""
    octets = np.ascontiguousarray(words).astype("<u4").view(np.uint8)
    bits = np.unpackbits(octets.reshape(*words.shape[:-1], -1), axis=-1, bitorder="little")
    return bits[..., :channels].astype(np.int64) * 2 - 1


def to_bytes(codes: Array, kind: TensorType) -> Array:
    """Codes (N, ...) as the bytes (N, bytes) that lie in the device's memory."""
    count = codes.shape[0]
    if kind.layout == "words":
        return np.ascontiguousarray(pack_words(codes)).view(np.uint8).reshape(count, -1)
    if kind.layout == "packed":
        return pack_rows(codes.reshape(-1, kind.channels).astype(np.int64), kind.bits).reshape(count, -1)
    return np.ascontiguousarray(codes.astype(_DTYPES[kind.c_type])).view(np.uint8).reshape(count, -1)


def from_bytes(data: Array, kind: TensorType) -> Array:
    """Inverse of `to_bytes`: codes int64 or floats (N, ...)."""
    data = np.ascontiguousarray(data)
    if kind.layout == "words":
        words = data.view("<u4").reshape(data.shape[0], *kind.shape[:-1], -1)
        return unpack_words(words, kind.channels)
    if kind.layout == "packed":
        codes = unpack_rows(data.reshape(-1, kind.stride), kind.bits, kind.channels, kind.signed)
        return codes.reshape(data.shape[0], *kind.shape)
    values = data.view(_DTYPES[kind.c_type]).reshape(data.shape[0], *kind.shape)
    return values if kind.kind == "float" else values.astype(np.int64)
