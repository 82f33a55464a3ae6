/* Rounding, clipping and packed data: the C twin of mcugen/numerics/epilogue.py and mcugen/numerics/packing.py (docs/numerics.md).
 * Portable C99; the DSP forms give the same bits. Compile with -ffp-contract=off: every float step rounds on its own. */
#ifndef MCU_NUMERICS_H
#define MCU_NUMERICS_H

#include <stdint.h>

/* High word of acc * 2^pre * mult: floor. |acc * 2^pre| and |mult| are below 2^31 by construction. */
static inline int32_t mcu_scale(int32_t acc, int32_t pre_factor, int32_t mult)
{
    return (int32_t)(((int64_t)(acc * pre_factor) * mult) >> 32);
}

static inline int32_t mcu_clip(int32_t v, int32_t lo, int32_t hi)
{
    return v < lo ? lo : v > hi ? hi : v;
}

#if defined(__ARM_ARCH_7EM__) && defined(__ARM_FP) && __ARM_FP == 14 && !defined(MCU_PORTABLE)
#define MCU_FPV5 1
/* Half to even, saturated at the ends of int32. */
static inline int32_t mcu_round(float v)
{
    union { float f; int32_t i; } u;
    __asm__("vcvtn.s32.f32 %0, %1" : "=t"(u.f) : "t"(v));
    return u.i;
}
#endif

/* v / 2^shift, halves to even; shift >= 1, |v| < 2^30. */
static inline int32_t mcu_shift_even(int32_t v, int32_t shift)
{
    return (v + (1 << (shift - 1)) - 1 + ((v >> shift) & 1)) >> shift;
}

/* clip(round half to even(v), lo, hi) for whole numbers -2^21 < lo <= hi < 2^21: adding 1.5 * 2^23 leaves the integer in
 * the low bits. */
static inline int32_t mcu_round_clip(float v, float lo, float hi)
{
#ifdef MCU_FPV5
    return mcu_clip(mcu_round(v), (int32_t)lo, (int32_t)hi);
#else
    union { float f; int32_t i; } u;
    v = v < lo ? lo : v;
    v = v > hi ? hi : v;
    u.f = v + 12582912.0f;
    return u.i - 0x4B400000;
#endif
}

/* The same for -2^24 <= lo <= hi <= 2^24, where hi and lo are exact floats; floats from 2^23 on have no fraction to round. */
static inline int32_t mcu_round_clip_wide(float v, float lo, float hi)
{
#ifdef MCU_FPV5
    return mcu_clip(mcu_round(v), (int32_t)lo, (int32_t)hi);
#else
    const float magic = v < 0.0f ? -8388608.0f : 8388608.0f;
    v = v < lo ? lo : v;
    v = v > hi ? hi : v;
    return (int32_t)(v > -8388608.0f && v < 8388608.0f ? (v + magic) - magic : v);
#endif
}

/* How many of the n ascending breakpoints are at most v. */
static inline int32_t mcu_count_below(float v, const float *breakpoints, int32_t n)
{
    int32_t low = 0;
    while (n > 0) {
        const int32_t half = n >> 1;
        if (v >= breakpoints[low + half]) {
            low += half + 1;
            n -= half + 1;
        } else {
            n = half;
        }
    }
    return low;
}

/* Weight number i of a row packed `bits` each, lowest first; bits are -1 (0) and +1 (1), wider codes two's complement. */
static inline int32_t mcu_weight1(const uint8_t *row, int32_t i)
{
    return (int32_t)((row[i >> 3] >> (i & 7)) & 1) * 2 - 1;
}

static inline int32_t mcu_weight2(const uint8_t *row, int32_t i)
{
    return (int32_t)(((row[i >> 2] >> (2 * (i & 3))) & 3) ^ 2) - 2;
}

static inline int32_t mcu_weight4(const uint8_t *row, int32_t i)
{
    return (int32_t)(((row[i >> 1] >> (4 * (i & 1))) & 15) ^ 8) - 8;
}

static inline int32_t mcu_weight8(const uint8_t *row, int32_t i)
{
    return (int8_t)row[i];
}

static inline int32_t mcu_weight16(const uint8_t *row, int32_t i)
{
    return (int16_t)(uint16_t)(row[2 * i] | row[2 * i + 1] << 8);
}

static inline int32_t mcu_weight32(const uint8_t *row, int32_t i)
{
    const uint8_t *at = row + 4 * i;
    return (int32_t)((uint32_t)at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 | (uint32_t)at[3] << 24);
}

/* Code number c of a pixel packed 2 or 4 bits each, lowest first; signed codes are read by mcu_weight2 and mcu_weight4. */
static inline int32_t mcu_field2(const uint8_t *pixel, int32_t c)
{
    return (pixel[c >> 2] >> (2 * (c & 3))) & 3;
}

static inline int32_t mcu_field4(const uint8_t *pixel, int32_t c)
{
    return (pixel[c >> 1] >> (4 * (c & 1))) & 15;
}

/* Of `bits` bits; keeps the others of the byte. Pixels that are not `whole` end inside a byte: their channels must be put
 * in ascending order, for what lies above is cleared. */
static inline void mcu_put_field(uint8_t *pixel, int32_t c, int32_t code, const int bits, const int whole)
{
    const int32_t shift = bits * (c & (8 / bits - 1));
    const uint32_t field = ((1u << bits) - 1) << shift, below = (1u << shift) - 1;
    uint8_t *at = pixel + (c >> (bits == 4 ? 1 : 2));
    *at = (uint8_t)((*at & (whole ? ~field : below)) | (((uint32_t)code << shift) & field));
}

/* Bit tensors: `words` 32-bit words a pixel, channel c in bit c % 32 of word c / 32; -1 is 0, +1 is 1. */
static inline uint32_t mcu_get_bit(const uint32_t *pixel, int32_t c)
{
    return (pixel[c >> 5] >> (c & 31)) & 1u;
}

static inline int32_t mcu_get_sign(const uint32_t *pixel, int32_t c)
{
    return (int32_t)mcu_get_bit(pixel, c) * 2 - 1;
}

/* Channels must be put in ascending order: the first of a word clears the rest. */
static inline void mcu_put_bit(uint32_t *pixel, int32_t c, int32_t bit)
{
    uint32_t *word = pixel + (c >> 5);
    *word = ((c & 31) ? *word : 0u) | (uint32_t)bit << (c & 31);
}

static inline int32_t mcu_popcount(uint32_t v)
{
    v -= (v >> 1) & 0x55555555u;
    v = (v & 0x33333333u) + ((v >> 2) & 0x33333333u);
    v = (v + (v >> 4)) & 0x0F0F0F0Fu;
    return (int32_t)((v * 0x01010101u) >> 24);
}

#endif
