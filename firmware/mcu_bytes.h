/* Four bytes at a time: saturating sums, maxima, sums of windows, copies. */
#ifndef MCU_BYTES_H
#define MCU_BYTES_H

#include "mcu_dsp.h"

/* Each of the four bytes, signed or not: clip(a + b), clip(a - b), max(a, b). */
#ifdef MCU_DSP
#define MCU_BYTEWISE(NAME, SIGNED, UNSIGNED, PORTABLE) \
    MCU_INLINE uint32_t NAME(uint32_t a, uint32_t b, const int is_signed) \
    { \
        uint32_t r; \
        if (is_signed) \
            __asm__(SIGNED : "=&r"(r) : "r"(a), "r"(b) : "cc"); \
        else \
            __asm__(UNSIGNED : "=&r"(r) : "r"(a), "r"(b) : "cc"); \
        return r; \
    }
#else
#define MCU_BYTEWISE(NAME, SIGNED, UNSIGNED, PORTABLE) \
    MCU_INLINE uint32_t NAME(uint32_t a, uint32_t b, const int is_signed) \
    { \
        const int32_t lo = is_signed ? -128 : 0, hi = is_signed ? 127 : 255; \
        uint32_t r = 0; \
        for (int32_t i = 0; i < 32; i += 8) { \
            const int32_t x = is_signed ? (int8_t)(a >> i) : (uint8_t)(a >> i); \
            const int32_t y = is_signed ? (int8_t)(b >> i) : (uint8_t)(b >> i); \
            r |= (uint32_t)(mcu_clip(PORTABLE, lo, hi) & 255) << i; \
        } \
        return r; \
    }
#endif
MCU_BYTEWISE(mcu_add4, "qadd8 %0, %1, %2", "uqadd8 %0, %1, %2", x + y)
MCU_BYTEWISE(mcu_sub4, "qsub8 %0, %1, %2", "uqsub8 %0, %1, %2", x - y)
MCU_BYTEWISE(mcu_max4, "ssub8 %0, %1, %2\n sel %0, %1, %2", "usub8 %0, %1, %2\n sel %0, %1, %2", x > y ? x : y)

/* Bytes 0 and 2 of v added to the halves of `sums`. */
MCU_INLINE uint32_t mcu_add_even(uint32_t sums, uint32_t v, const int is_signed)
{
#ifdef MCU_DSP
    if (is_signed)
        __asm__("sxtab16 %0, %0, %1" : "+r"(sums) : "r"(v));
    else
        __asm__("uxtab16 %0, %0, %1" : "+r"(sums) : "r"(v));
    return sums;
#else
    const uint32_t even = mcu_even(v, is_signed);
    return ((sums + even) & 0xFFFFu) | ((sums & 0xFFFF0000u) + (even & 0xFFFF0000u));
#endif
}

/* Bytes 1 and 3. */
MCU_INLINE uint32_t mcu_add_odd(uint32_t sums, uint32_t v, const int is_signed)
{
#ifdef MCU_DSP
    if (is_signed)
        __asm__("sxtab16 %0, %0, %1, ror #8" : "+r"(sums) : "r"(v));
    else
        __asm__("uxtab16 %0, %0, %1, ror #8" : "+r"(sums) : "r"(v));
    return sums;
#else
    return mcu_add_even(sums, v >> 8, is_signed);
#endif
}

/* The halves of even and odd, added to four sums. */
MCU_INLINE void mcu_add_halves(int32_t sums[4], uint32_t even, uint32_t odd, const int is_signed)
{
    sums[0] += is_signed ? (int16_t)even : (uint16_t)even;
    sums[1] += is_signed ? (int16_t)odd : (uint16_t)odd;
    sums[2] += is_signed ? (int16_t)(even >> 16) : (int32_t)(even >> 16);
    sums[3] += is_signed ? (int16_t)(odd >> 16) : (int32_t)(odd >> 16);
}

/* n bytes, which do not overlap. The barrier keeps compilers from calling memcpy instead. */
MCU_INLINE void mcu_copy(void *to, const void *from, int32_t n)
{
    uint8_t *t = to;
    const uint8_t *f = from;
    for (; n >= 16; n -= 16, t += 16, f += 16) {
        const uint32_t a = mcu_load(f), b = mcu_load(f + 4), c = mcu_load(f + 8), d = mcu_load(f + 12);
        mcu_store(t, a);
        mcu_store(t + 4, b);
        mcu_store(t + 8, c);
        mcu_store(t + 12, d);
        __asm__ volatile("" ::: "memory");
    }
    for (; n >= 4; n -= 4, t += 4, f += 4) {
        mcu_store(t, mcu_load(f));
        __asm__ volatile("" ::: "memory");
    }
    for (; n > 0; n--) {
        *t++ = *f++;
        __asm__ volatile("" ::: "memory");
    }
}

/* n bytes of 0. */
MCU_INLINE void mcu_zero(void *to, int32_t n)
{
    uint8_t *t = to;
    for (; n >= 4; n -= 4, t += 4) {
        mcu_store(t, 0);
        __asm__ volatile("" ::: "memory");
    }
    for (; n > 0; n--) {
        *t++ = 0;
        __asm__ volatile("" ::: "memory");
    }
}

#endif
