/* What the binary layers share: shapes, and the way from counts of matches to codes and bits. A sum of products of -1 and +1
 * is twice the matches less the number of terms. How the matches are counted: mcu_binary_tables.h and mcu_binary_sums.h,
 * mcu_binary_sets.h, mcu_binary_depthwise.h. */
#ifndef MCU_BINARY_H
#define MCU_BINARY_H

#include "mcu_int8.h"

typedef uint32_t __attribute__((may_alias)) mcb_word;

typedef struct mcb_shape {
    int in_h, in_w, out_h, out_w, kh, kw, sh, sw, top, left;
    int channels;       /* of the input */
    int fives, fours;   /* groups of one input pixel: 4 * fives of five channels, then `fours` of at most four */
    int stride;         /* bytes of one group's table: 256, or 128 without groups of five */
    int part_h, part_w; /* taps whose tables are in scratch at a time */
} mcb_shape;

#define MCB_BYTES 0x01010101u
#define MCB_SIGNS 0x80808080u
#define MCB_ONES 0x11111111u
#define MCB_LOW 0x0F0F0F0Fu

MCU_INLINE int32_t mcb_max(int32_t a, int32_t b) { return a > b ? a : b; }
MCU_INLINE int32_t mcb_min(int32_t a, int32_t b) { return a < b ? a : b; }

/* How many of `taps` taps from position `at` on lie inside the image. */
MCU_INLINE int32_t mcb_inside(int32_t at, const int size, const int taps)
{
    return mcb_max(0, mcb_min(taps, size - at) - mcb_max(0, -at));
}

/* ---- from counts to codes and bits ----------------------------------------------------------------------------- */

/* offset + (a * mult >> 32), floor */
MCU_INLINE int32_t mcb_add_high(int32_t offset, int32_t a, int32_t mult)
{
#ifdef MCU_DSP
    int32_t out;
    __asm__("smmla %0, %1, %2, %3" : "=r"(out) : "r"(a), "r"(mult), "r"(offset));
    return out;
#else
    return offset + (int32_t)(((int64_t)a * mult) >> 32);
#endif
}

/* MCB_CODES defines NAME(out, residual, counts, pixels, mult, offset, less): one channel's codes,
 *     (offset + (((count << UP) - less) * mult >> 32) + (residual << POST)) >> POST, saturated,
 * counts STEP bytes apart, loaded by COUNT (ldrb or ldrh), out and residual OUT_C (at most 4095) bytes apart. LOAD
 * is ldrb or ldrsb; without residual ADDS is 0. SAT and BITS are those of mcu_int8.h. */
typedef void mcb_codes(uint8_t *out, const uint8_t *residual, const void *counts, int32_t pixels, int32_t mult,
    int32_t offset, uint32_t less);

#ifdef MCU_DSP
#define MCB_U(R, COUNT, STEP) #COUNT " " R ", [r2], #" #STEP "\n"
#define MCB_X(R, LOAD, OUT_C, ADDS) ".if " #ADDS "\n" MCB_NEXT(#LOAD, R, "r1", OUT_C) ".endif\n"
#define MCB_ACC(R, UP) "rsb " R ", r6, " R ", lsl #" #UP "\n"
#define MCB_MUL(R) "smmla " R ", " R ", r4, r5\n"
#define MCB_ADD(R, X, POST, ADDS) ".if " #ADDS "\n add " R ", " R ", " X ", lsl #" #POST "\n .endif\n"
#define MCB_PUT(R, OUT_C) MCB_NEXT("strb", R, "r0", OUT_C)
#define MCB_NEXT(OP, R, P, BY) \
    ".if " #BY " > 255\n " OP " " R ", [" P "]\n addw " P ", " P ", #" #BY "\n .else\n" \
    OP " " R ", [" P "], #" #BY "\n .endif\n"
/* r0 out, r1 residual, r2 counts, r3 pixels, r4 mult, r5 offset, r6 less, r7 1 where MCU_RAISE needs it. */
#define MCB_CODES(NAME, UP, POST, STEP, OUT_C, COUNT, LOAD, ADDS, SAT, BITS) \
    MCU_ASM void NAME(MCU_ARG uint8_t *out, MCU_ARG const uint8_t *residual, MCU_ARG const void *counts, \
        MCU_ARG int32_t pixels, MCU_ARG int32_t mult, MCU_ARG int32_t offset, MCU_ARG uint32_t less) \
    { \
        __asm__("push {r4-r11, lr}\n ldr r4, [sp, #36]\n ldr r5, [sp, #40]\n ldr r6, [sp, #44]\n" MCU_ONE_##SAT("r7") \
            MCB_LESS_##SAT(POST) "subs r3, #4\n blt 2f\n" \
            "1: " MCB_U("r8", COUNT, STEP) MCB_U("r9", COUNT, STEP) MCB_U("r10", COUNT, STEP) \
            MCB_X("lr", LOAD, OUT_C, ADDS) MCB_ACC("r8", UP) MCB_U("r11", COUNT, STEP) MCB_X("r12", LOAD, OUT_C, ADDS) \
            MCB_ACC("r9", UP) MCB_ACC("r10", UP) MCB_MUL("r8") MCB_ACC("r11", UP) MCB_MUL("r9") \
            MCB_ADD("r8", "lr", POST, ADDS) MCB_MUL("r10") MCB_X("lr", LOAD, OUT_C, ADDS) \
            MCB_ADD("r9", "r12", POST, ADDS) MCU_SAT("r8", SAT, BITS, POST) MCB_X("r12", LOAD, OUT_C, ADDS) \
            MCU_SAT("r9", SAT, BITS, POST) MCB_MUL("r11") MCU_RAISE_##SAT("r8", "r7") \
            MCB_ADD("r10", "lr", POST, ADDS) MCU_RAISE_##SAT("r9", "r7") MCB_ADD("r11", "r12", POST, ADDS) \
            MCU_SAT("r10", SAT, BITS, POST) MCB_PUT("r8", OUT_C) MCU_SAT("r11", SAT, BITS, POST) MCB_PUT("r9", OUT_C) \
            MCU_RAISE_##SAT("r10", "r7") MCU_RAISE_##SAT("r11", "r7") MCB_PUT("r10", OUT_C) "subs r3, #4\n" \
            MCB_PUT("r11", OUT_C) "bge 1b\n" \
            "2: adds r3, #4\n beq 4f\n" \
            "3: " MCB_U("r8", COUNT, STEP) MCB_X("r12", LOAD, OUT_C, ADDS) MCB_ACC("r8", UP) MCB_MUL("r8") \
            MCB_ADD("r8", "r12", POST, ADDS) MCU_SAT("r8", SAT, BITS, POST) MCU_RAISE_##SAT("r8", "r7") \
            MCB_PUT("r8", OUT_C) "subs r3, #1\n bne 3b\n" \
            "4: pop {r4-r11, pc}\n"); \
    }
/* What saturates at -127 to 127 is 1 less, as in mcu_int8.h. */
#define MCB_LESS_usat(POST) ""
#define MCB_LESS_ssat(POST) ""
#define MCB_LESS_sym(POST) "sub r5, #1 << " #POST "\n"
#else
#define MCB_LOW_usat(BITS) 0
#define MCB_LOW_ssat(BITS) (-(1 << ((BITS) - 1)))
#define MCB_LOW_sym(BITS) (1 - (1 << ((BITS) - 1)))
#define MCB_HIGH_usat(BITS) ((1 << (BITS)) - 1)
#define MCB_HIGH_ssat(BITS) ((1 << ((BITS) - 1)) - 1)
#define MCB_HIGH_sym(BITS) MCB_HIGH_ssat(BITS)
#define MCB_C_ldrb uint8_t
#define MCB_C_ldrsb int8_t
#define MCB_C_ldrh uint16_t
#define MCB_CODES(NAME, UP, POST, STEP, OUT_C, COUNT, LOAD, ADDS, SAT, BITS) \
    MCU_INLINE void NAME(uint8_t *out, const uint8_t *residual, const void *counts, int32_t pixels, int32_t mult, \
        int32_t offset, uint32_t less) \
    { \
        for (int32_t p = 0; p < pixels; p++) { \
            const uint32_t count = *(const MCB_C_##COUNT *)(const void *)((const uint8_t *)counts + p * (STEP)); \
            int32_t v = mcb_add_high(offset, (int32_t)((count << (UP)) - less), mult); \
            if (ADDS) v += (int32_t)(MCB_C_##LOAD)residual[p * (OUT_C)] * (1 << (POST)); \
            out[p * (OUT_C)] = (uint8_t)mcu_clip(v >> (POST), MCB_LOW_##SAT(BITS), MCB_HIGH_##SAT(BITS)); \
        } \
    }
#endif

/* yes where byte (or halfword, if `wide`) of a >= that of b, else 0 */
MCU_INLINE uint32_t mcb_where_ge(uint32_t a, uint32_t b, uint32_t yes, const int wide)
{
    uint32_t out = 0;
#ifdef MCU_DSP
    if (wide)
        __asm__("usub16 %0, %1, %2\n\tsel %0, %3, %4" : "=&r"(out) : "r"(a), "r"(b), "r"(yes), "r"(0) : "cc");
    else
        __asm__("usub8 %0, %1, %2\n\tsel %0, %3, %4" : "=&r"(out) : "r"(a), "r"(b), "r"(yes), "r"(0) : "cc");
#else
    const int bits = wide ? 16 : 8;
    for (uint32_t lane = (1u << bits) - 1u; lane; lane <<= bits) out |= (a & lane) >= (b & lane) ? yes & lane : 0u;
#endif
    return out;
}

/* Bits byte ^ sign >= threshold of eight bytes. */
MCU_INLINE uint32_t mcb_compare8(const uint8_t *bytes, const uint8_t *thresholds, const uint32_t sign)
{
    const uint32_t low = mcu_load(bytes) ^ sign * MCB_BYTES, high = mcu_load(bytes + 4) ^ sign * MCB_BYTES;
    const uint32_t four = mcb_where_ge(low, mcu_load(thresholds), 0x08040201u, 0);
    return ((four | mcb_where_ge(high, mcu_load(thresholds + 4), 0x80402010u, 0)) * MCB_BYTES) >> 24;
}

/* The same of up to 32 bytes. */
MCU_INLINE uint32_t mcb_compare(const uint8_t *bytes, const uint8_t *thresholds, const int count, const uint32_t sign)
{
    uint32_t bits = count >= 8 ? mcb_compare8(bytes, thresholds, sign) : 0u;
    if (count >= 16) bits |= mcb_compare8(bytes + 8, thresholds + 8, sign) << 8;
    if (count >= 24) bits |= mcb_compare8(bytes + 16, thresholds + 16, sign) << 16;
    if (count >= 32) bits |= mcb_compare8(bytes + 24, thresholds + 24, sign) << 24;
    for (int i = count & ~7; i < count; i++) bits |= (uint32_t)((bytes[i] ^ sign) >= thresholds[i]) << i;
    return bits;
}

/* Bits count >= threshold of up to 32 channels of one pixel; both have bytes, or an even number of halfwords if `wide`. */
MCU_INLINE uint32_t mcb_bits(const mcb_word *counts, const void *thresholds, const int channels, const int wide)
{
    uint32_t bits = 0;
    if (!wide) return mcb_compare((const uint8_t *)counts, thresholds, channels, 0);
    for (int first = 0; first < channels; first += 16) {
        const uint32_t *threshold = (const uint32_t *)thresholds + first / 2;
        const int pairs = (channels - first < 16 ? channels - first + 1 : 16) / 2;
        uint32_t both = 0; /* even channels below, odd ones above */
        for (int i = 0; i < pairs; i++)
            both |= mcb_where_ge(counts[first / 2 + i], mcu_load(threshold + i), 0x00020001u << (2 * i), 1);
        bits |= ((both | both >> 16) & 0xFFFFu) << first;
    }
    return bits;
}

#endif
