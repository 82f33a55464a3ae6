/* Exponential and square root in float32: the C twin of mcugen/ops/curve.py, bit for bit. */
#ifndef MCU_CURVES_H
#define MCU_CURVES_H

#include <stdint.h>

#if !defined(__ARM_FP)
#include <math.h>
#endif

/* e to the power of v for v <= 0; below -87 as at -87. */
static inline float mcu_exp(float v)
{
    union { int32_t i; float f; } scale;
    v = v > -87.0f ? v : -87.0f;
    const float n = (v * 1.4426950216293335f + 12582912.0f) - 12582912.0f;
    const float r = (v - n * 0.693359375f) - n * -2.1219444e-4f;
    float p = 1.0f / 720.0f;
    p = p * r + 1.0f / 120.0f;
    p = p * r + 1.0f / 24.0f;
    p = p * r + 1.0f / 6.0f;
    p = p * r + 0.5f;
    p = p * r + 1.0f;
    p = p * r + 1.0f;
    scale.i = ((int32_t)n + 127) << 23;
    return p * scale.f;
}

/* Correctly rounded square root of v >= 0. */
static inline float mcu_sqrt(float v)
{
#if defined(__ARM_FP)
    float root;
    __asm__("vsqrt.f32 %0, %1" : "=t"(root) : "t"(v));
    return root;
#else
    return sqrtf(v);
#endif
}

#endif
