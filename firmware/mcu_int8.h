/* Inner loops of the 8-bit kernels, templates/kernels/fast_*.c.j2. Portable C; with the DSP extension the same bits
 * from SMLAD and SMMLA, the hottest loops in assembly scheduled by hand for the Cortex-M7.
 *
 * Activations are widened once to int16. A 16-bit lane of a weight word is w0 + 256 * w1 of two output channels: SMLAD
 * on the word gives s0 + 256 * s1 (mod 2^32), and on SXTB16 of the word, s0 alone. mcugen/kernels/int8_pack.py packs lanes
 * so where they fit, and cuts sums so that abs(s1) < 2^23; elsewhere lanes hold plain bytes w0, w1: `split`. */
#ifndef MCU_INT8_H
#define MCU_INT8_H

#include "mcu_dsp.h"

/* Four bytes to int16: in their order, or bytes 0, 2, 1, 3 where `mixed`, which is cheaper. */
MCU_INLINE void mcu_widen4(int16_t *to, uint32_t v, const int is_signed, const int mixed)
{
    const uint32_t even = mcu_even(v, is_signed), odd = mcu_odd(v, is_signed);
    mcu_store(to, mixed ? even : mcu_lows(even, odd));
    mcu_store(to + 2, mixed ? odd : mcu_highs(even, odd));
}

/* `runs` runs of n bytes to runs of int16 that begin `stride` elements apart. */
MCU_INLINE void mcu_widen(
    int16_t *to, const void *from, int32_t runs, const int n, const int stride, const int is_signed, const int mixed)
{
    const uint8_t *bytes = from;
    for (; runs > 0; runs--, to += stride - (n & ~3)) {
        for (int32_t i = n / 8; i > 0; i--, bytes += 8, to += 8) {
            const uint32_t first = mcu_load(bytes), second = mcu_load(bytes + 4);
            mcu_widen4(to, first, is_signed, mixed);
            mcu_widen4(to + 4, second, is_signed, mixed);
        }
        if (n & 4) {
            mcu_widen4(to, mcu_load(bytes), is_signed, mixed);
            bytes += 4;
            to += 4;
        }
        for (int32_t i = 0; i < (n & 3); i++, bytes++) to[i] = (int16_t)(is_signed ? (int8_t)*bytes : *bytes);
    }
}

/* By which two 16-bit codes become int16: those without a sign lose 2^15. */
MCU_INLINE uint32_t mcu_flip(const int is_signed) { return is_signed ? 0u : 0x80008000u; }

/* `runs` runs of n 16-bit codes to runs of int16 that begin `stride` elements apart. */
MCU_INLINE void mcu_halves(
    int16_t *to, const void *from, int32_t runs, const int n, const int stride, const int is_signed)
{
    const uint8_t *bytes = from;
    const uint32_t flip = mcu_flip(is_signed);
    for (; runs > 0; runs--, to += stride - (n & ~1)) {
        for (int32_t i = n / 4; i > 0; i--, bytes += 8, to += 4) {
            const uint32_t first = mcu_load(bytes), second = mcu_load(bytes + 4);
            mcu_store(to, first ^ flip);
            mcu_store(to + 2, second ^ flip);
        }
        if (n & 2) {
            mcu_store(to, mcu_load(bytes) ^ flip);
            bytes += 4;
            to += 2;
        }
        if (n & 1) {
            *to = (int16_t)(uint16_t)((bytes[0] | (uint32_t)bytes[1] << 8) ^ (flip & 0xFFFFu));
            bytes += 2;
        }
    }
}

MCU_INLINE void mcu_fill(int16_t *to, int32_t runs, const int n, const int stride, const int16_t value)
{
    for (; runs > 0; runs--, to += stride)
        for (int32_t i = 0; i < n; i++) to[i] = value;
}

MCU_INLINE void mcu_clear(int16_t *to, int32_t runs, const int n, const int stride)
{
    mcu_fill(to, runs, n, stride, 0);
}

/* s1 from s0 + 256 * s1 and s0. */
MCU_INLINE int32_t mcu_upper(int32_t whole, int32_t low)
{
    return (int32_t)((uint32_t)whole - (uint32_t)low) >> 8;
}

/* Adds one pair of terms of one or two pixels to sums of both: w0, w1, then the second pixel's. */
MCU_INLINE void mcu_add_pair(
    uint32_t word, uint32_t x0, uint32_t x1, const int pixels, const int split, int32_t sums[4])
{
    const uint32_t lower = mcu_even(word, 1), upper = split ? mcu_odd(word, 1) : word;
    sums[0] = mcu_smlad(lower, x0, sums[0]);
    sums[1] = mcu_smlad(upper, x0, sums[1]);
    if (pixels == 1) return;
    sums[2] = mcu_smlad(lower, x1, sums[2]);
    sums[3] = mcu_smlad(upper, x1, sums[3]);
}

/* Sums of two channels over `pairs` pairs of terms of one or two pixels that begin `step` elements apart. */
MCU_INLINE void mcu_dot(const int16_t *x, const uint32_t *w, const int pixels, const int step, const int pairs,
    const int split, int32_t low[], int32_t high[])
{
    const int other = pixels == 2 ? step : 0;
    int32_t sums[4] = {0, 0, 0, 0};
    for (int32_t k = pairs / 2; k > 0; k--, x += 4, w += 2) {
        const uint32_t w0 = w[0], w1 = w[1], x0 = mcu_load(x), x1 = mcu_load(x + 2);
        const uint32_t y0 = mcu_load(x + other), y1 = mcu_load(x + other + 2);
        mcu_add_pair(w0, x0, y0, pixels, split, sums);
        mcu_add_pair(w1, x1, y1, pixels, split, sums);
    }
    if (pairs % 2) mcu_add_pair(w[0], mcu_load(x), mcu_load(x + other), pixels, split, sums);
    for (int32_t i = 0; i < pixels; i++) {
        low[i] = sums[2 * i];
        high[i] = split ? sums[2 * i + 1] : mcu_upper(sums[2 * i + 1], sums[2 * i]);
    }
}

/* Shifts and limits of a fixed output stage: compile-time constants. */
typedef struct mcu_fixed {
    int pre, post, lo, hi, even;
} mcu_fixed;

MCU_INLINE int32_t mcu_finish(int32_t acc, int32_t mult, int32_t offset, const mcu_fixed f)
{
    const int32_t v = offset + mcu_scale(acc, 1 << f.pre, mult);
    return mcu_clip(f.even ? mcu_shift_even(v, f.post) : v >> f.post, f.lo, f.hi);
}

/* Whether the stage's value lies in its guard: up to `width` above a step, where the float32 steps must decide. */
MCU_INLINE int mcu_guards(int32_t acc, int32_t mult, int32_t offset, const mcu_fixed f, const int width)
{
    return ((offset + mcu_scale(acc, 1 << f.pre, mult)) & ((1 << f.post) - 1)) < width;
}

/* Each macro below defines a function NAME for one layer. SAT and BITS name the limits: usat 0 to 2^BITS - 1, ssat
 * -2^(BITS - 1) to 2^(BITS - 1) - 1, and sym -127 to 127 (BITS is 8). */
#ifdef MCU_DSP
/* All assembly; `used` keeps compilers from dropping arguments that they do not see in use. */
#define MCU_ASM __attribute__((naked, noinline, used)) static
#define MCU_ARG __attribute__((unused))
#define MCU_SAT(R, SAT, BITS, POST) MCU_OP_##SAT " " R ", #" #BITS ", " R ", asr #" #POST "\n"
#define MCU_OP_usat "usat"
#define MCU_OP_ssat "ssat"
/* -127 to 127: what saturates is 1 less, its offset lowered by LOWER; then a saturating addition of 1. */
#define MCU_OP_sym "ssat"
#define MCU_LOWER_usat(AT, POST) ""
#define MCU_LOWER_ssat(AT, POST) ""
#define MCU_LOWER_sym(AT, POST) "ldr r8, [sp, #" #AT "]\n sub r8, r8, #1 << " #POST "\n str r8, [sp, #" #AT "]\n"
#define MCU_ONE_usat(R) ""
#define MCU_ONE_ssat(R) ""
#define MCU_ONE_sym(R) "mov " R ", #1\n"
#define MCU_RAISE_usat(R, ONE) ""
#define MCU_RAISE_ssat(R, ONE) ""
#define MCU_RAISE_sym(R, ONE) "qadd8 " R ", " R ", " ONE "\n"
#define MCU_AGAIN_usat(R) ""
#define MCU_AGAIN_ssat(R) ""
#define MCU_AGAIN_sym(R) "add " R ", " R ", #1\n ssat " R ", #8, " R "\n"

/* Two terms of three pixels and two channels: 12 products in six cycles; loads run three cycles ahead of their use.
 * r0 x, r1 w, r2-r4 sums of words, r5-r7 of w0, r8 lanes of w0, r9 word, r10-r12 terms of the pixels, lr counter. */
#define MCU_TERMS_(MAC, B0, B1, B2, A0, A1, A2, NEXT_W, NEXT_2, NEXT_1, LAST, END) \
    MAC " r4, r9, r12" B2 "\n ldr r10, [r0], #4\n sxtb16 r8, r9\n" MAC " r3, r9, r11" B1 "\n" \
    MAC " r2, r9, r10" B0 "\n" NEXT_W "\n" MAC " r7, r8, r12" A2 "\n" NEXT_2 "\n" \
    MAC " r6, r8, r11" A1 "\n" NEXT_1 "\n" MAC " r5, r8, r10" A0 "\n" LAST "\n"
#define MCU_TERMS(...) MCU_TERMS_(__VA_ARGS__)
/* The same of split words, in seven cycles: r2-r4 are sums of w1. */
#define MCU_SPLIT_TERMS_(MAC, B0, B1, B2, A0, A1, A2, NEXT_W, NEXT_2, NEXT_1, LAST, END) \
    "sxtb16 r8, r9\n ldr r10, [r0], #4\n sxtb16 r9, r9, ror #8\n" MAC " r7, r8, r12" A2 "\n" \
    MAC " r4, r9, r12" B2 "\n" NEXT_2 "\n" MAC " r3, r9, r11" B1 "\n" MAC " r2, r9, r10" B0 "\n" \
    MAC " r6, r8, r11" A1 "\n" NEXT_W "\n" MAC " r5, r8, r10" A0 "\n" NEXT_1 "\n" LAST "\n"
#define MCU_SPLIT_TERMS(...) MCU_SPLIT_TERMS_(__VA_ARGS__)
#define MCU_SUMS ", r2", ", r3", ", r4", ", r5", ", r6", ", r7"
#define MCU_AHEAD(STEP) "ldr r9, [r1], #4", "ldr r12, [r0, #4 * " #STEP "]", "ldr r11, [r0, #2 * " #STEP "]"
#define MCU_MORE(TERMS, STEP, LAST) TERMS("smlad", MCU_SUMS, MCU_AHEAD(STEP), LAST, )
/* All terms, in a loop of four pairs where there are more than 17; what follows PAIRS are loads during the last. */
#define MCU_ALL(TERMS, STEP, PAIRS, ...) \
    "ldr r12, [r0, #4 * " #STEP "]\n ldr r11, [r0, #2 * " #STEP "]\n" \
    ".if " #PAIRS " > 17\n mov lr, #(" #PAIRS " - 2) / 4\n.endif\n" \
    TERMS("smuad", "", "", "", "", "", "", MCU_AHEAD(STEP), "", ) \
    ".if " #PAIRS " > 17\n .rept (" #PAIRS " - 2) % 4\n" MCU_MORE(TERMS, STEP, "") ".endr\n" \
    "2:\n .rept 2\n" MCU_MORE(TERMS, STEP, "") ".endr\n" \
    MCU_MORE(TERMS, STEP, "subs lr, #1") MCU_MORE(TERMS, STEP, "bne 2b") \
    ".else\n .rept " #PAIRS " - 2\n" MCU_MORE(TERMS, STEP, "") ".endr\n .endif\n" \
    TERMS("smlad", MCU_SUMS, __VA_ARGS__, )

#define MCU_TERMS_OF_0 MCU_TERMS
#define MCU_TERMS_OF_1 MCU_SPLIT_TERMS
#define MCU_APART_0 \
    "sub r4, r4, r7\n sub r3, r3, r6\n sub r2, r2, r5\n asr r4, r4, #8\n asr r3, r3, #8\n asr r2, r2, #8\n"
#define MCU_APART_1
/* NAME(x, w, low, high): sums of two channels over PAIRS >= 2 pairs of three pixels that begin STEP elements apart;
 * SPLIT (0 or 1) words. */
#define MCU_DOT3(NAME, STEP, PAIRS, SPLIT) \
    MCU_ASM void NAME( \
        MCU_ARG const int16_t *x, MCU_ARG const uint32_t *w, MCU_ARG int32_t low[3], MCU_ARG int32_t high[3]) \
    { \
        __asm__("push {r2-r11, lr}\n ldr r9, [r1], #4\n" \
            MCU_ALL(MCU_TERMS_OF_##SPLIT, STEP, PAIRS, "", "", "", "ldr r8, [sp], #4") \
            "ldr r9, [sp], #4\n" MCU_APART_##SPLIT "stm r8, {r5-r7}\n stm r9, {r2-r4}\n pop {r4-r11, pc}\n"); \
    }

#define MCU_HIGH(R, PRE) \
    ".if " #PRE " > 8\n lsl " R ", #" #PRE " - 8\n.endif\n.if " #PRE " < 8\n asr " R ", #8 - " #PRE "\n.endif\n"
#define MCU_IF(ADD, TEXT) ".if " #ADD " >= 0\n" TEXT ".endif\n"
#define MCU_PLUS(R, BY, ADD) "add " R ", " R ", " BY ", lsl #" #ADD "\n"
/* Leaves where the fraction of one of r2 to r7 lies in the guard. */
#define MCU_GUARD(WIDTH) \
    "mov r8, #(" #WIDTH " << 16) | " #WIDTH "\n pkhbt r9, r4, r3, lsl #16\n pkhbt r10, r2, r7, lsl #16\n" \
    "pkhbt r11, r6, r5, lsl #16\n uqsub16 r9, r8, r9\n uqsub16 r10, r8, r10\n uqsub16 r11, r8, r11\n" \
    "orr r9, r9, r10\n orrs r9, r9, r11\n bne 3f\n"
/* Halves of 2^POST to even: adds half less 1, and 1 where the quotient is odd (of `sym` it is 1 less). */
#define MCU_HALF_usat(POST) "((1 << (" #POST " - 1)) - 1)"
#define MCU_HALF_ssat(POST) MCU_HALF_usat(POST)
#define MCU_HALF_sym(POST) "(1 << (" #POST " - 1))"
#define MCU_ODD_usat "add "
#define MCU_ODD_ssat "add "
#define MCU_ODD_sym "sub "
#define MCU_TIES2(A, B, SAT, POST) \
    "ubfx r8, " A ", #" #POST ", #1\n add " A ", r9\n ubfx r12, " B ", #" #POST ", #1\n add " B ", r9\n" \
    MCU_ODD_##SAT A ", r8\n" MCU_ODD_##SAT B ", r12\n"
#define MCU_TIES(SAT, POST) \
    "movw r9, #" MCU_HALF_##SAT(POST) "\n" \
    MCU_TIES2("r4", "r3", SAT, POST) MCU_TIES2("r2", "r7", SAT, POST) MCU_TIES2("r6", "r5", SAT, POST)
/* NAME(x, out, w, bytes, mult0, offset0, mult1, offset1, residual): as MCU_DOT3 for bytes / OUT_C pixels, a multiple of
 * three; each sum becomes (offset + (sum << PRE) * mult >> 32 + (residual << ADD)) >> POST, where EVEN with halves to
 * even (POST is then at most 16), saturated and stored. LOAD (ldrb or ldrsb) fetches residuals, which lie like the
 * output; ADD is -1 where there are none. Where WIDTH > 0 (POST is then 16), stops before three pixels with a sum for which mcu_guards. Returns how many bytes are left. */
#define MCU_ROW(NAME, STEP, PAIRS, OUT_C, PRE, POST, SAT, BITS, LOAD, ADD, WIDTH, EVEN) \
    MCU_ASM int32_t NAME(MCU_ARG const int16_t *x, MCU_ARG uint8_t *out, MCU_ARG const uint32_t *w, \
        MCU_ARG int32_t bytes, MCU_ARG int32_t mult0, MCU_ARG int32_t offset0, MCU_ARG int32_t mult1, \
        MCU_ARG int32_t offset1, MCU_ARG const void *residual) \
    { \
        __asm__("add r3, r1\n push {r1-r11, lr}\n" MCU_LOWER_##SAT(52, POST) MCU_LOWER_##SAT(60, POST) \
            "ldr r1, [sp, #4]\n ldr lr, [sp]\n ldr r9, [r1], #4\n1:\n" \
            MCU_ALL(MCU_TERMS, STEP, PAIRS, "ldr r9, [sp, #56]", "ldr r12, [sp, #60]", "ldr r11, [sp, #48]", \
                "ldr r10, [sp, #52]") \
            ".if " #ADD " >= 0\n ldr r1, [sp, #64]\n.else\n ldr r1, [sp, #4]\n.endif\n" \
            "add r0, #6 * " #STEP " - 4 * " #PAIRS "\n sub r4, r4, r7\n sub r3, r3, r6\n" \
            MCU_HIGH("r4", PRE) "sub r2, r2, r5\n" MCU_HIGH("r3", PRE) "smmla r4, r4, r9, r12\n" \
            MCU_HIGH("r2", PRE) "smmla r3, r3, r9, r12\n lsl r7, #" #PRE "\n smmla r2, r2, r9, r12\n" \
            MCU_IF(ADD, #LOAD " r9, [r1, #2 * " #OUT_C " + 1]\n " #LOAD " r12, [r1, #" #OUT_C " + 1]\n") \
            "lsl r6, #" #PRE "\n smmla r7, r7, r11, r10\n" \
            MCU_IF(ADD, #LOAD " r8, [r1, #1]\n" MCU_PLUS("r4", "r9", ADD) #LOAD " r9, [r1, #2 * " #OUT_C "]\n") \
            "lsl r5, #" #PRE "\n smmla r6, r6, r11, r10\n" \
            MCU_IF(ADD, MCU_PLUS("r3", "r12", ADD) #LOAD " r12, [r1, #" #OUT_C "]\n") \
            ".if " #WIDTH " == 0 && " #EVEN " == 0\n" MCU_SAT("r4", SAT, BITS, POST) ".endif\n smmla r5, r5, r11, r10\n" \
            ".if " #WIDTH " > 0\n" MCU_GUARD(WIDTH) MCU_SAT("r4", SAT, BITS, POST) ".endif\n" \
            MCU_IF(ADD, MCU_PLUS("r2", "r8", ADD) #LOAD " r8, [r1]\n add r1, #3 * " #OUT_C "\n str r1, [sp, #64]\n" \
                "ldr r1, [sp, #4]\n" MCU_PLUS("r7", "r9", ADD) MCU_PLUS("r6", "r12", ADD) MCU_PLUS("r5", "r8", ADD)) \
            ".if " #EVEN "\n" MCU_TIES(SAT, POST) MCU_SAT("r4", SAT, BITS, POST) ".endif\n" \
            ".if " #PAIRS " > 17\n ldr lr, [sp]\n.endif\n" \
            MCU_SAT("r3", SAT, BITS, POST) MCU_ONE_##SAT("r10") "ldr r8, [sp, #8]\n" \
            MCU_SAT("r2", SAT, BITS, POST) MCU_RAISE_##SAT("r4", "r10") MCU_RAISE_##SAT("r3", "r10") \
            MCU_SAT("r7", SAT, BITS, POST) "strb r4, [lr, #2 * " #OUT_C " + 1]\n" MCU_RAISE_##SAT("r2", "r10") \
            MCU_SAT("r6", SAT, BITS, POST) "strb r3, [lr, #" #OUT_C " + 1]\n" MCU_RAISE_##SAT("r7", "r10") \
            MCU_SAT("r5", SAT, BITS, POST) "strb r2, [lr, #1]\n" MCU_RAISE_##SAT("r6", "r10") \
            "ldr r9, [r1], #4\n strb r7, [lr, #2 * " #OUT_C "]\n" MCU_RAISE_##SAT("r5", "r10") \
            "strb r6, [lr, #" #OUT_C "]\n strb r5, [lr]\n add lr, #3 * " #OUT_C "\n cmp lr, r8\n" \
            ".if " #PAIRS " > 17\n str lr, [sp]\n.endif\n" \
            "bne 1b\n 3: ldr r0, [sp, #8]\n" \
            ".if " #PAIRS " > 17\n ldr lr, [sp]\n.endif\n" \
            "sub r0, r0, lr\n add sp, #12\n pop {r4-r11, pc}\n"); \
    }

#define MCU_TERM4(X) \
    "sxtb16 r6, r7\n smlad r2, r7, " X ", r2\n smlad r4, r6, " X ", r4\n ldr r7, [r1], #4\n" \
    "sxtb16 r6, r8\n smlad r3, r8, " X ", r3\n smlad r5, r6, " X ", r5\n ldr r8, [r1], #4\n"
/* NAME(x, w, fours, sums): one pixel by four channels over 4 * fours pairs; words of channels 0, 1 and of 2, 3
 * alternate. sums: of words of either pair, then of w0 of either. Reads 16 bytes beyond x and 8 beyond w. */
#define MCU_DOT4(NAME) \
    MCU_ASM void NAME( \
        MCU_ARG const int16_t *x, MCU_ARG const uint32_t *w, MCU_ARG int32_t fours, MCU_ARG int32_t sums[4]) \
    { \
        __asm__("push {r3-r11, lr}\n mov lr, r2\n ldrd r9, r10, [r0], #8\n ldrd r11, r12, [r0], #8\n" \
            "ldr r7, [r1], #4\n ldr r8, [r1], #4\n movs r2, #0\n movs r3, #0\n movs r4, #0\n movs r5, #0\n" \
            "1:\n" MCU_TERM4("r9") MCU_TERM4("r10") "ldrd r9, r10, [r0], #8\n subs lr, #1\n" \
            MCU_TERM4("r11") MCU_TERM4("r12") "ldrd r11, r12, [r0], #8\n bne 1b\n" \
            "ldr r6, [sp], #4\n stm r6, {r2-r5}\n pop {r4-r11, pc}\n"); \
    }

#else
#define MCU_LO_usat(BITS) 0
#define MCU_HI_usat(BITS) ((1 << (BITS)) - 1)
#define MCU_LO_ssat(BITS) (-(1 << ((BITS) - 1)))
#define MCU_HI_ssat(BITS) ((1 << ((BITS) - 1)) - 1)
#define MCU_LO_sym(BITS) (-127)
#define MCU_HI_sym(BITS) 127
#define MCU_LOAD_ldrb uint8_t
#define MCU_LOAD_ldrsb int8_t

#define MCU_DOT3(NAME, STEP, PAIRS, SPLIT) \
    static void NAME(const int16_t *x, const uint32_t *w, int32_t low[3], int32_t high[3]) \
    { \
        for (int32_t i = 0; i < 3; i++, x += STEP) mcu_dot(x, w, 1, STEP, PAIRS, SPLIT, low + i, high + i); \
    }

#define MCU_ROW(NAME, STEP, PAIRS, OUT_C, PRE, POST, SAT, BITS, LOAD, ADD, WIDTH, EVEN) \
    static int32_t NAME(const int16_t *x, uint8_t *out, const uint32_t *w, int32_t bytes, int32_t mult0, \
        int32_t offset0, int32_t mult1, int32_t offset1, const void *residual) \
    { \
        const mcu_fixed f = {PRE, POST, MCU_LO_##SAT(BITS), MCU_HI_##SAT(BITS), EVEN}; \
        const MCU_LOAD_##LOAD *r = residual; \
        for (; bytes > 0; bytes -= 3 * OUT_C, x += 3 * STEP, out += 3 * OUT_C, r += ADD < 0 ? 0 : 3 * OUT_C) { \
            int32_t low[3], high[3], guards = 0; \
            for (int32_t i = 0; i < 3; i++) { \
                mcu_dot(x + i * STEP, w, 1, STEP, PAIRS, 0, low + i, high + i); \
                if (WIDTH > 0) guards |= mcu_guards(low[i], mult0, offset0, f, WIDTH); \
                if (WIDTH > 0) guards |= mcu_guards(high[i], mult1, offset1, f, WIDTH); \
            } \
            if (guards) break; \
            for (int32_t i = 0; i < 3; i++) { \
                const int32_t at = i * OUT_C, more0 = ADD < 0 ? 0 : r[at], more1 = ADD < 0 ? 0 : r[at + 1]; \
                const int32_t by = 1 << (ADD < 0 ? 0 : ADD); \
                out[at] = (uint8_t)mcu_finish(low[i], mult0, offset0 + more0 * by, f); \
                out[at + 1] = (uint8_t)mcu_finish(high[i], mult1, offset1 + more1 * by, f); \
            } \
        } \
        return bytes; \
    }

#define MCU_DOT4(NAME) \
    static void NAME(const int16_t *x, const uint32_t *w, int32_t fours, int32_t sums[4]) \
    { \
        for (int32_t i = 0; i < 4; i++) sums[i] = 0; \
        for (int32_t k = 0; k < 4 * fours; k++, x += 2) \
            for (int32_t i = 0; i < 2; i++, w++) { \
                sums[i] = mcu_smlad(*w, mcu_load(x), sums[i]); \
                sums[i + 2] = mcu_smlad(mcu_even(*w, 1), mcu_load(x), sums[i + 2]); \
            } \
    }
#endif

#endif
