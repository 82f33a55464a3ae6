/* Instructions of the DSP extension and their meaning in portable C; loads and stores at any address. */
#ifndef MCU_DSP_H
#define MCU_DSP_H

#include "mcu_numerics.h"

#if defined(__ARM_ARCH_7EM__) && defined(__ARM_FEATURE_DSP) && !defined(MCU_PORTABLE)
#define MCU_DSP 1
#endif
#define MCU_INLINE static inline __attribute__((always_inline, unused))

MCU_INLINE uint32_t mcu_load(const void *from)
{
    uint32_t v;
    __builtin_memcpy(&v, from, 4);
    return v;
}

/* The first n of four bytes; the rest is 0. */
MCU_INLINE uint32_t mcu_load_some(const void *from, const int n)
{
    const uint8_t *bytes = from;
    if (n == 4) return mcu_load(from);
    return bytes[0] | (n > 1 ? (uint32_t)bytes[1] << 8 : 0) | (n > 2 ? (uint32_t)bytes[2] << 16 : 0);
}

MCU_INLINE void mcu_store(void *to, uint32_t v)
{
    __builtin_memcpy(to, &v, 4);
}

/* acc + low * low + high * high of the halves, modulo 2^32. */
MCU_INLINE int32_t mcu_smlad(uint32_t a, uint32_t b, int32_t acc)
{
#ifdef MCU_DSP
    __asm__("smlad %0, %1, %2, %0" : "+r"(acc) : "r"(a), "r"(b));
    return acc;
#else
    const int32_t low = (int16_t)a * (int16_t)b, high = (int16_t)(a >> 16) * (int16_t)(b >> 16);
    return (int32_t)((uint32_t)acc + (uint32_t)low + (uint32_t)high);
#endif
}

/* acc + low half of a * high half of b. */
MCU_INLINE int32_t mcu_smlabt(uint32_t a, uint32_t b, int32_t acc)
{
#ifdef MCU_DSP
    __asm__("smlabt %0, %1, %2, %0" : "+r"(acc) : "r"(a), "r"(b));
    return acc;
#else
    return (int32_t)((uint32_t)acc + (uint32_t)((int16_t)a * (int16_t)(b >> 16)));
#endif
}

/* Bytes 0 and 2 as halves. */
MCU_INLINE uint32_t mcu_even(uint32_t v, const int is_signed)
{
    if (!is_signed) return v & 0x00FF00FFu;
#ifdef MCU_DSP
    __asm__("sxtb16 %0, %0" : "+r"(v));
    return v;
#else
    return (uint16_t)(int8_t)v | (uint32_t)(uint16_t)(int8_t)(v >> 16) << 16;
#endif
}

/* Bytes 1 and 3 as halves. */
MCU_INLINE uint32_t mcu_odd(uint32_t v, const int is_signed)
{
#ifdef MCU_DSP
    uint32_t r;
    if (is_signed)
        __asm__("sxtb16 %0, %1, ror #8" : "=r"(r) : "r"(v));
    else
        __asm__("uxtb16 %0, %1, ror #8" : "=r"(r) : "r"(v));
    return r;
#else
    return mcu_even(v >> 8, is_signed);
#endif
}

/* The low halves of a and b. */
MCU_INLINE uint32_t mcu_lows(uint32_t a, uint32_t b)
{
#ifdef MCU_DSP
    __asm__("pkhbt %0, %0, %1, lsl #16" : "+r"(a) : "r"(b));
    return a;
#else
    return (a & 0xFFFFu) | b << 16;
#endif
}

/* The high halves of a and b. */
MCU_INLINE uint32_t mcu_highs(uint32_t a, uint32_t b)
{
#ifdef MCU_DSP
    __asm__("pkhtb %0, %0, %1, asr #16" : "+r"(b) : "r"(a));
    return b;
#else
    return a >> 16 | (b & 0xFFFF0000u);
#endif
}

#endif
