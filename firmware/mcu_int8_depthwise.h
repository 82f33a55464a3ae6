/* Inner loops of the 8-bit depthwise convolutions, templates/kernels/fast_depthwise.c.j2 and fast_global_depthwise.c.j2;
 * portable C, and the same bits in scheduled assembly with the DSP extension, as in mcu_int8.h. */
#ifndef MCU_INT8_DEPTHWISE_H
#define MCU_INT8_DEPTHWISE_H

#include "mcu_int8.h"

/* Adds two taps of four depthwise channels; w: channels 0, 1 of both taps, then channels 2, 3, as plain bytes. */
MCU_INLINE void mcu_taps4(uint32_t a, uint32_t b, const uint32_t w[2], const int is_signed, int32_t sums[4])
{
    const uint32_t low = mcu_lows(a, b), high = mcu_highs(a, b);
    sums[0] = mcu_smlad(mcu_even(low, is_signed), mcu_even(w[0], 1), sums[0]);
    sums[1] = mcu_smlad(mcu_odd(low, is_signed), mcu_odd(w[0], 1), sums[1]);
    sums[2] = mcu_smlad(mcu_even(high, is_signed), mcu_even(w[1], 1), sums[2]);
    sums[3] = mcu_smlad(mcu_odd(high, is_signed), mcu_odd(w[1], 1), sums[3]);
}

#ifdef MCU_DSP
#define MCU_SPLIT(XTB16) \
    "pkhbt %[low], %[a], %[b], lsl #16\n pkhtb %[a], %[b], %[a], asr #16\n" \
    XTB16 " %[one], %[low]\n str %[one], [%[to]]\n" XTB16 " %[one], %[low], ror #8\n str %[one], [%[to], #%c[n]]\n" \
    XTB16 " %[one], %[a]\n str %[one], [%[to], #2 * %c[n]]\n" \
    XTB16 " %[one], %[a], ror #8\n str %[one], [%[to], #3 * %c[n]]\n"
#define MCU_OPERANDS \
    [low] "=&r"(low), [one] "=&r"(one), [a] "+r"(a) : [b] "r"(b), [to] "r"(to), [n] "i"(2 * pitch) : "memory"
#endif

/* Four channels of two pixels side by side, to four planes that lie `pitch` elements apart. */
MCU_INLINE void mcu_split4(int16_t *to, const int pitch, uint32_t a, uint32_t b, const int is_signed)
{
#ifdef MCU_DSP
    uint32_t low, one;
    if (is_signed)
        __asm__ volatile(MCU_SPLIT("sxtb16") : MCU_OPERANDS);
    else
        __asm__ volatile(MCU_SPLIT("uxtb16") : MCU_OPERANDS);
#else
    const uint32_t low = mcu_lows(a, b), high = mcu_highs(a, b);
    mcu_store(to, mcu_even(low, is_signed));
    mcu_store(to + pitch, mcu_odd(low, is_signed));
    mcu_store(to + 2 * pitch, mcu_even(high, is_signed));
    mcu_store(to + 3 * pitch, mcu_odd(high, is_signed));
#endif
}

/* The same of up to four 16-bit channels of two pixels, either of which may be null for codes of 0; see mcu_halves. */
MCU_INLINE void mcu_split_halves(
    int16_t *to, const int pitch, const void *one, const void *two, const int n, const int is_signed)
{
    const uint8_t *a = one, *b = two;
    for (int c = 0; c < n; c += 2) {
        const int bytes = n - c > 1 ? 4 : 2;
        const uint32_t v = a ? mcu_load_some(a + 2 * c, bytes) : 0, w = b ? mcu_load_some(b + 2 * c, bytes) : 0;
        mcu_store(to + c * pitch, mcu_lows(v, w) ^ mcu_flip(is_signed));
        if (n - c > 1) mcu_store(to + (c + 1) * pitch, mcu_highs(v, w) ^ mcu_flip(is_signed));
    }
}

/* Three rows of weights (bytes w0, w1, w2, 0) as (w0, w1), (w1, w2). */
MCU_INLINE void mcu_spread(const uint32_t w[3], uint32_t spread[6])
{
    for (int32_t r = 0; r < 3; r++) {
        const uint32_t even = mcu_even(w[r], 1), odd = mcu_odd(w[r], 1);
        spread[2 * r] = mcu_lows(even, odd);
        spread[2 * r + 1] = (odd & 0xFFFFu) | (even & 0xFFFF0000u);
    }
}

/* Adds one row of the windows at `at` and `at + stride`. */
MCU_INLINE void mcu_window_row(const int16_t *at, const int stride, uint32_t w01, uint32_t w12, int32_t sums[2])
{
    const uint32_t a = mcu_load(at), b = mcu_load(at + 2);
    sums[0] = mcu_smlabt(b, w12, mcu_smlad(a, w01, sums[0]));
    if (stride == 1)
        sums[1] = mcu_smlad(b, w12, mcu_smlabt(w01, a, sums[1]));
    else
        sums[1] = mcu_smlabt(mcu_load(at + 4), w12, mcu_smlad(b, w01, sums[1]));
}

/* Sums of the 3x3 windows at `at` and `at + stride` of a plane whose rows lie `row` elements apart. */
MCU_INLINE void mcu_windows(
    const int16_t *at, const int row, const int stride, const uint32_t spread[6], int32_t sums[2])
{
    sums[0] = sums[1] = 0;
    mcu_window_row(at, stride, spread[0], spread[1], sums);
    mcu_window_row(at + row, stride, spread[2], spread[3], sums);
    mcu_window_row(at + 2 * row, stride, spread[4], spread[5], sums);
}

#ifdef MCU_DSP
/* A row of depthwise weights (bytes w0, w1, w2, 0 in r10) to (w0, w1), (w1, w2), times 256. */
#define MCU_SPREAD(A, B) \
    "lsl r11, r10, #8\n and r11, #0xFF00FF00\n and r10, #0xFF00FF00\n" \
    "pkhbt " A ", r11, r10, lsl #16\n pkhtb " B ", r11, r10\n"
/* Two 3x3 windows side by side: sums in r8, r9; meanwhile r12, lr of the last two are saturated and stored. r0 at, r1
 * out, r2-r7 weights, r10, r11 the words at `at` and `at + 2`; leaves mult in r10 and whether the row has ended. */
#define MCU_WINDOWS1(ROW, SAT0, SAT1, STORE0, STORE1, ONWARD) \
    SAT0 "smuad r8, r10, r2\n" SAT1 "smultb r9, r10, r2\n" \
    "smlabt r8, r11, r3, r8\n ldr r10, [r0, #2 * " #ROW "]\n smlad r9, r11, r3, r9\n" STORE0 \
    "smlad r8, r10, r4, r8\n ldr r11, [r0, #2 * " #ROW " + 4]\n smlatb r9, r10, r4, r9\n" STORE1 \
    "smlabt r8, r11, r5, r8\n ldr r10, [r0, #4 * " #ROW "]\n smlad r9, r11, r5, r9\n ldr r12, [sp]\n" \
    "smlad r8, r10, r6, r8\n ldr r11, [r0, #4 * " #ROW " + 4]\n smlatb r9, r10, r6, r9\n" ONWARD \
    "smlabt r8, r11, r7, r8\n ldr r10, [sp, #44]\n smlad r9, r11, r7, r9\n cmp r0, r12\n"
#define MCU_WINDOWS2(ROW, SAT0, SAT1, STORE0, STORE1, ONWARD) \
    SAT0 "smuad r8, r10, r2\n ldr r10, [r0, #8]\n" SAT1 "smlabt r8, r11, r3, r8\n" \
    "smuad r9, r11, r2\n ldr r11, [r0, #2 * " #ROW "]\n smlabt r9, r10, r3, r9\n" \
    "ldr r10, [r0, #2 * " #ROW " + 4]\n" STORE0 \
    "smlad r8, r11, r4, r8\n ldr r11, [r0, #2 * " #ROW " + 8]\n" STORE1 "smlabt r8, r10, r5, r8\n" \
    "smlad r9, r10, r4, r9\n ldr r10, [r0, #4 * " #ROW "]\n smlabt r9, r11, r5, r9\n" \
    "ldr r11, [r0, #4 * " #ROW " + 4]\n" \
    "smlad r8, r10, r6, r8\n ldr r10, [r0, #4 * " #ROW " + 8]\n smlabt r8, r11, r7, r8\n ldr r12, [sp]\n" \
    "smlad r9, r11, r6, r9\n" ONWARD "smlabt r9, r10, r7, r9\n ldr r10, [sp, #44]\n cmp r0, r12\n"
#define MCU_SHIFT(R, PRE) ".if " #PRE " > 8\n lsl " R ", #" #PRE " - 8\n.endif\n"
#define MCU_SCALE2(STRIDE, PRE) \
    "ldr r11, [sp, #48]\n" MCU_SHIFT("r8", PRE) "smmla r12, r8, r10, r11\n" \
    MCU_SHIFT("r9", PRE) "smmla lr, r9, r10, r11\n ldr r10, [r0, #4 * " #STRIDE "]!\n ldr r11, [r0, #4]\n"
/* NAME(x, out, w, rows, mult, offset): 3x3 windows over `rows` rows of one plane. ROW, NEXT: elements from row to row
 * of the input, and from the windows of a row to those of the next; STRIDE 1 or 2, PRE >= 8. Where OUT_W is odd, the
 * second window of a row's last pair is not stored. */
#define MCU_PLANE(NAME, ROW, NEXT, STRIDE, OUT_W, OUT_C, PRE, POST, SAT, BITS) \
    MCU_ASM void NAME(MCU_ARG const int16_t *x, MCU_ARG uint8_t *out, MCU_ARG const uint32_t *w, MCU_ARG int32_t rows, \
        MCU_ARG int32_t mult, MCU_ARG int32_t offset) \
    { \
        __asm__("push {r2-r11, lr}\n" MCU_LOWER_##SAT(48, POST) \
            "ldr r10, [r2]\n ldr r8, [r2, #4]\n ldr r9, [r2, #8]\n" \
            MCU_SPREAD("r2", "r3") "mov r10, r8\n" MCU_SPREAD("r4", "r5") "mov r10, r9\n" MCU_SPREAD("r6", "r7") \
            "add r12, r0, #4 * " #STRIDE " * ((" #OUT_W " + 1) / 2 - 1)\n str r12, [sp]\n" \
            "1: ldr r10, [r0]\n ldr r11, [r0, #4]\n" \
            MCU_WINDOWS##STRIDE(ROW, "", "", "", "", "") MCU_SCALE2(STRIDE, PRE) "beq 3f\n" \
            "2:\n" MCU_WINDOWS##STRIDE(ROW, MCU_SAT("r12", SAT, BITS, POST), MCU_SAT("lr", SAT, BITS, POST), \
                MCU_AGAIN_##SAT("r12") "strb r12, [r1]\n", MCU_AGAIN_##SAT("lr") "strb lr, [r1, #" #OUT_C "]\n", \
                "add r1, #2 * " #OUT_C "\n") \
            MCU_SCALE2(STRIDE, PRE) "bne 2b\n" \
            "3: ldr r10, [sp, #4]\n ldr r11, [sp]\n subs r10, #1\n str r10, [sp, #4]\n" \
            "add r11, #2 * " #NEXT "\n str r11, [sp]\n" \
            "add r0, #2 * " #NEXT " - 4 * " #STRIDE " * ((" #OUT_W " + 1) / 2)\n" \
            ".if " #OUT_W " % 2\n" MCU_SAT("r12", SAT, BITS, POST) MCU_AGAIN_##SAT("r12") \
            "strb r12, [r1]\n add r1, #" #OUT_C "\n bne 1b\n" \
            ".else\n ldr r10, [r0]\n ldr r11, [r0, #4]\n bne 2b\n" \
            MCU_SAT("r12", SAT, BITS, POST) MCU_AGAIN_##SAT("r12") "strb r12, [r1]\n" \
            MCU_SAT("lr", SAT, BITS, POST) MCU_AGAIN_##SAT("lr") "strb lr, [r1, #" #OUT_C "]\n.endif\n" \
            "add sp, #8\n pop {r4-r11, pc}\n"); \
    }
#else
#define MCU_PLANE(NAME, ROW, NEXT, STRIDE, OUT_W, OUT_C, PRE, POST, SAT, BITS) \
    static void NAME(const int16_t *x, uint8_t *out, const uint32_t *w, int32_t rows, int32_t mult, int32_t offset) \
    { \
        const mcu_fixed f = {PRE, POST, MCU_LO_##SAT(BITS), MCU_HI_##SAT(BITS), 0}; \
        uint32_t spread[6]; \
        mcu_spread(w, spread); \
        for (; rows > 0; rows--, x += NEXT) \
            for (int32_t i = 0; i < OUT_W; i += 2) { \
                int32_t sums[2]; \
                mcu_windows(x + i * STRIDE, ROW, STRIDE, spread, sums); \
                for (int32_t k = 0; k < 2 && i + k < OUT_W; k++, out += OUT_C) \
                    *out = (uint8_t)mcu_finish(sums[k], mult, offset, f); \
            } \
    }
#endif

#endif
