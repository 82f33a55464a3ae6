"""Float32 twins of TensorFlow's CPU arithmetic where it is more than IEEE operations in plain order; without it.

TensorFlow's kernels (Eigen) work on packets of 8 floats, and on the size % 8 last elements one by one with other code.
They are built without fused multiply-add. All functions here return the same bits as TensorFlow 2.21 on x86-64.
"""

from __future__ import annotations

import ctypes
import mmap
import platform
from functools import cache
from typing import Any

import numpy as np

from mcugen.ir import Float

PACKET = 8
F = np.float32
# mov eax, edx (count of groups of 4)... ; loop: movups xmm0,[rdi]; rsqrtps xmm0,xmm0; movups [rsi],xmm0; next; ret
CODE = bytes.fromhex(
    "4885d2"  # test rdx, rdx
    "7416"  # jz end
    "0f1007"  # loop: movups xmm0, [rdi]
    "0f52c0"  # rsqrtps xmm0, xmm0
    "0f1106"  # movups [rsi], xmm0
    "4883c710"  # add rdi, 16
    "4883c610"  # add rsi, 16
    "48ffca"  # dec rdx
    "75ea"  # jnz loop
    "c3"  # end: ret
)


@cache
def approximation() -> Any:
    """The processor's own `rsqrtps` as a function of (source, target, groups of 4), or None where it cannot run."""
    if platform.machine().lower() not in ("x86_64", "amd64") or platform.system() == "Windows":
        return None
    try:
        page = mmap.mmap(-1, mmap.PAGESIZE, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
        page.write(CODE)
        address = ctypes.addressof(ctypes.c_char.from_buffer(page))
        call = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_uint64)(address)
    except (OSError, ValueError):
        return None
    return call, page


def rsqrt_source() -> str:
    """How `rsqrt` is computed here, for reports."""
    if approximation() is None:
        return "1/sqrt correctly rounded (this machine has no rsqrtps to run)"
    return "rsqrtps of this processor with one Newton step, as TensorFlow on x86-64"


def estimate(values: Float) -> Float:
    """rsqrtps of a contiguous array whose size is a multiple of 4."""
    call, _ = approximation()
    result: Float = np.empty_like(values)
    call(values.ctypes.data, result.ctypes.data, values.size // 4)
    return result


def rsqrt(x: Float) -> Float:
    """tf.math.rsqrt of a 1-D array of positive float32: packets by `rsqrtps` and a Newton step, the tail by 1/sqrt.

    Where `rsqrtps` cannot run, every element is 1/sqrt correctly rounded, at most an ulp or two away from TensorFlow's.
    """
    v = np.ascontiguousarray(x, F).ravel()
    exact = (1 / np.sqrt(v.astype(np.float64))).astype(F)
    if approximation() is None:
        return exact
    body = v.size // PACKET * PACKET
    packets, tail = v[:body], v[body:]
    a = estimate(packets)
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        newton = (a * F(-0.5)) * ((packets * a) * a - F(1)) + a
        special = np.isinf(a) | np.isinf(packets)
        return np.concatenate([np.where(special, a, newton), F(1) / np.sqrt(tail)])


@cache
def scalar(name: str) -> Any:
    """The C library's logf or expf, which TensorFlow calls for an array's tail; else the double function, rounded."""
    try:
        call = getattr(ctypes.CDLL("libm.so.6"), f"{name}f")
    except (OSError, AttributeError):
        return lambda value: float(F(getattr(np, name)(np.float64(value))))
    call.restype, call.argtypes = ctypes.c_float, [ctypes.c_float]
    return call


def polynomial(x: Float, *coefficients: float) -> Float:
    """Horner's rule from the highest power, each product and sum rounded to float32."""
    total = np.full_like(x, coefficients[0])
    for coefficient in coefficients[1:]:
        total = total * x + F(coefficient)
    return total


def log(x: Float) -> Float:
    """tf.math.log of positive normal float32 of any shape: `packet_log` and logf for the tail."""
    flat = np.ascontiguousarray(x, F).ravel()
    body = flat.size // PACKET * PACKET
    tail = [scalar("log")(float(value)) for value in flat[body:]]
    return np.concatenate([packet_log(flat[:body]), np.asarray(tail, F)]).reshape(np.shape(x))


def packet_log(x: Float) -> Float:
    """What tf.math.log does in packets: Eigen's rational function, with an error of an ulp or two.

    The coefficients are those of Eigen's plog_float (Eigen/src/Core/arch/Default/GenericPacketMathFunctions.h).
    """
    mantissa, exponent = np.frexp(x)
    small = mantissa < F(0.707106781186547524)
    m = np.where(small, mantissa - F(1) + mantissa, mantissa - F(1))
    e = exponent.astype(F) - small.astype(F)
    p = m * polynomial(m, 0.18256296349849254, 1.0000000190281063, 1.0000000190281136)
    q = polynomial(m, 0.049616247954120038, 0.59923249590823520, 1.4999999999999927, 1.0)
    return e * F(0.6931471805599453) + p / q


def tanh(x: Float) -> Float:
    """tf.math.tanh: Eigen's ptanh_float, the same for every element (file as above)."""
    x = np.clip(np.asarray(x, F), F(-7.90738964080810547), F(7.90738964080810547))
    square = x * x
    p = polynomial(square, 1.394553628e-8, 2.102733560e-5, 3.520756727e-3, 1.340216100e-1)
    q = polynomial(square, 8.015776984e-7, 3.326951409e-4, 2.597254514e-2, 4.673548340e-1, 1.0)
    return (square * x * p + x) / q


def sigmoid(x: Float) -> Float:
    """tf.math.sigmoid of float32 of any shape: `packet_sigmoid` and, by expf, the tail."""
    flat = np.ascontiguousarray(x, F).ravel()
    body = flat.size // PACKET * PACKET
    e = np.asarray([scalar("exp")(float(value)) for value in np.minimum(flat[body:], F(16.6355324))], F)
    return np.concatenate([packet_sigmoid(flat[:body]), e / (F(1) + e)]).reshape(np.shape(x))


def packet_sigmoid(x: Float) -> Float:
    """tf.math.sigmoid in packets: Eigen's scalar_logistic_op<float> (Eigen/src/Core/functors/UnaryFunctors.h)."""
    half = np.clip(np.asarray(x, F), F(-200), F(16.6355324)) * F(0.5)  # below -200 it is zero in any case
    m = np.floor(half * F(1.44269504088896341) + F(0.5))
    r = m * F(2.12194440e-4) + (m * F(-0.693359375) + half)
    square = r * r
    even = square * F(4.1898667812347412109375e-2) + F(0.49999141693115234375)
    odd = square * F(8.33471305668354034423828125e-3) + F(0.16666877269744873046875)
    e = np.ldexp(square * (r * odd + even) + (r + F(1)), m.astype(np.int32))
    e = e * e
    return np.where(e < np.finfo(F).tiny, F(0), e / (F(1) + e))  # subnormal numbers count as zero


def in_order(rows: Float) -> Float:
    """Sum over the first axis from the first row to the last."""
    total: Float = np.add.accumulate(rows, axis=0, dtype=F)[-1] if len(rows) else np.zeros(rows.shape[1:], F)
    return total


def in_fours(rows: Float) -> Float:
    """Sum over the first axis as four interleaved sums, joined in order, then the rows left over."""
    body = len(rows) // 4 * 4
    total = np.zeros(rows.shape[1:], F)
    for start in range(4 if body else 0):
        total = total + in_order(rows[start:body:4])
    for row in rows[body:]:
        total = total + row
    return total


def sum_all(x: Float) -> Any:
    """Sum of a 1-D array: halves down to 1024 packets, packets in fours, then the 8 lanes by halves, then the tail."""
    if x.size > PACKET * 1024:
        split = ((x.size + 1) // 2 + PACKET - 1) // PACKET * PACKET
        return sum_all(x[:split]) + sum_all(x[split:])
    body = x.size // PACKET * PACKET
    lanes = in_fours(x[:body].reshape(-1, PACKET))
    lanes = lanes[:4] + lanes[4:]
    lanes = lanes[:2] + lanes[2:]
    return in_order(x[body:]) + (lanes[0] + lanes[1])


def mean(x: Float) -> Float:
    """tf.reduce_mean of float32 over all axes but the last, which stay with length 1 (rank 2 or more)."""
    rows = np.ascontiguousarray(x, F).reshape(-1, x.shape[-1])
    if rows.shape[1] == 1:
        total = np.asarray([sum_all(rows.ravel())], F)
    else:
        body = rows.shape[1] // PACKET * PACKET
        packets, tail = rows[:, :body], in_order(rows[:, body:])
        total = np.concatenate([in_order(packets) if len(rows) < 16 else in_fours(packets), tail])
    return (total / F(len(rows))).reshape((1,) * (x.ndim - 1) + (-1,))
