/* Inner loops of convolutions with weights of 2 and 4 bits, templates/kernels/subbyte_conv.c.j2. Portable C; with the DSP
 * extension the same bits from assembly scheduled by hand for the Cortex-M7. mcugen/kernels/subbyte_*.py packs weights.
 *
 * Weights are w + B, B = 2^(bits - 1), codes a + A; a sum of a * w is that of (a + A) * (w + B), less B times the sum of
 * a + A, which is the pixel's alone, less A times the sum of w, which is the channel's alone.
 *
 * "fields", codes of at most 4 bits: one UMLAL multiplies a0 + a1 * 2^F + ... of two or three pixels with
 * w0 + w1 * 2^(pixels * F) of two channels; each product has a field of F bits in the 64-bit sum, taken out before it
 * can overflow. Both weights lie side by side in a circle of 32 bits, so that a rotation and a mask unpack them.
 *
 * "nested", codes of 8 bits: a 16-bit lane w0 + w1 * 2^n + w2 * 2^2n + w3 * 2^3n holds four channels. SMLAD with the lane
 * and with its lower three, two and one fields gives four nested sums, whose differences are those of the channels. */
#ifndef MCU_SUBBYTE_H
#define MCU_SUBBYTE_H

#include "mcu_int8.h"

/* Sums of the codes in a word. */
MCU_INLINE int32_t mcu_total(uint32_t v, const int bits)
{
    if (bits == 1) v = (v & 0x55555555u) + ((v >> 1) & 0x55555555u);
    if (bits <= 2) v = (v & 0x33333333u) + ((v >> 2) & 0x33333333u);
    v = (v & 0x0F0F0F0Fu) + ((v >> 4) & 0x0F0F0F0Fu);
    return (int32_t)((v * 0x01010101u) >> 24);
}

/* Codes of up to three pixels side by side in fields of `width` bits, a word a code, to every third word. */
typedef struct mcu_pixels {
    const uint8_t *from[3];
    uint32_t border; /* of bits: 1 in the fields of pixels outside the image, where a + 1 is 1 */
} mcu_pixels;

/* The codes numbered `at` of words. */
MCU_INLINE uint32_t mcu_side_by_side(
    const uint32_t v[3], const uint32_t border, const int at, const int bits, const int pixels, const int width)
{
    uint32_t word = border;
    for (int i = 0; i < pixels; i++) word += ((v[i] >> (bits * at)) & ((1u << bits) - 1)) << (width * i + (bits == 1));
    return word;
}

/* n codes of `bits` bits; flip: sign bits to be turned; totals: sums of the pixels' codes, added to. */
MCU_INLINE uint32_t *mcu_spread_fields(uint32_t *to, mcu_pixels p, int32_t totals[], const int n, const int bits,
    const int pixels, const int width, const uint32_t flip)
{
    const int each = 32 / bits, rest = n % each * bits;
    for (int32_t left = n; left > 0; left -= each) {
        uint32_t v[3] = {0, 0, 0};
        const int32_t here = left < each ? left : each;
        for (int i = 0; i < pixels; i++) {
            v[i] = (left < each ? mcu_load_some(p.from[i], (rest + 7) / 8) : mcu_load(p.from[i])) ^ flip;
            if (left < each) v[i] &= (1u << rest) - 1;
            totals[i] += mcu_total(v[i], bits) << (bits == 1);
            if (p.border >> (width * i) & 1) totals[i] += here;
            p.from[i] += 4;
        }
        int32_t k = 0;
        for (; k <= here - 4; k += 4, to += 12) {
            to[0] = mcu_side_by_side(v, p.border, 0, bits, pixels, width);
            to[3] = mcu_side_by_side(v, p.border, 1, bits, pixels, width);
            to[6] = mcu_side_by_side(v, p.border, 2, bits, pixels, width);
            to[9] = mcu_side_by_side(v, p.border, 3, bits, pixels, width);
            for (int i = 0; i < pixels; i++) v[i] >>= 4 * bits & 31;
        }
        for (; k < here; k++, to += 3) {
            *to = mcu_side_by_side(v, p.border, 0, bits, pixels, width);
            for (int i = 0; i < pixels; i++) v[i] >>= bits;
        }
    }
    return to;
}

/* Field number i of `width` bits of a sum. */
MCU_INLINE int32_t mcu_field(uint32_t low, uint32_t high, const int width, const int i)
{
    const int at = width * i;
    const uint32_t field = (1u << width) - 1;
    if (at >= 32) return (int32_t)((high >> (at & 31)) & field);
    return (int32_t)((at + width <= 32 ? low >> at : low >> at | high << (-at & 31)) & field);
}

/* Sums of one or two channels in turn, of pixel after pixel; `more`: added to what is there. */
MCU_INLINE void mcu_take(int32_t sums[], uint64_t product, const int pixels, const int width, const int more)
{
    const uint32_t low = (uint32_t)product, high = (uint32_t)(product >> 32);
    sums[0] = (more ? sums[0] : 0) + mcu_field(low, high, width, 0);
    sums[1] = (more ? sums[1] : 0) + mcu_field(low, high, width, pixels);
    sums[2] = (more ? sums[2] : 0) + mcu_field(low, high, width, 1);
    sums[3] = (more ? sums[3] : 0) + mcu_field(low, high, width, pixels + 1);
    if (pixels < 3) return;
    sums[4] = (more ? sums[4] : 0) + mcu_field(low, high, width, 2);
    sums[5] = (more ? sums[5] : 0) + mcu_field(low, high, width, pixels + 2);
}

MCU_INLINE void mcu_take_fields(
    int32_t sums[], const uint64_t products[3], const int pixels, const int width, const int more)
{
    mcu_take(sums, products[0], pixels, width, more);
    mcu_take(sums + 2 * pixels, products[1], pixels, width, more);
    mcu_take(sums + 4 * pixels, products[2], pixels, width, more);
}

/* Makes the numbers stay in memory, so that loops with many other values keep those in registers. */
MCU_INLINE void mcu_in_memory(const int32_t *numbers)
{
    __asm__("" : : "r"(numbers) : "memory");
}

/* clip((offset + (acc * mult >> 32)) >> post, lo, hi), its low byte only where that is all that anyone stores (-127 to
 * 127); all but acc, mult and offset are compile-time constants. */
MCU_INLINE int32_t mcu_narrow(
    int32_t acc, int32_t mult, int32_t offset, const int post, const int32_t lo, const int32_t hi)
{
#ifdef MCU_DSP
    const int symmetric = lo == -127 && hi == 127 && post > 0 && post < 31;
    int32_t v;
    if (symmetric) offset -= (int32_t)(1u << post); /* what saturates is 1 less; then a saturating addition of 1 */
    __asm__("smmla %0, %1, %2, %3" : "=r"(v) : "r"(acc), "r"(mult), "r"(offset));
    if (post == 0 || hi <= 0 || (hi & (hi + 1)) != 0 || lo > 0 || lo < -hi - 1) return mcu_clip(v >> post, lo, hi);
    if (lo == 0) {
        __asm__("usat %0, %2, %1, asr %3" : "=r"(v) : "r"(v), "i"(32 - __builtin_clz((unsigned)hi)), "i"(post));
        return v;
    }
    __asm__("ssat %0, %2, %1, asr %3" : "=r"(v) : "r"(v), "i"(33 - __builtin_clz((unsigned)hi)), "i"(post));
    if (symmetric) __asm__("qadd8 %0, %0, %1" : "+r"(v) : "r"(1));
    if (symmetric || lo == -hi - 1) return v;
    return v < lo ? lo : v;
#else
    return mcu_clip((offset + (int32_t)((int64_t)acc * mult >> 32)) >> post, lo, hi);
#endif
}

/* Two pixels as pairs of int16 that alternate; flip: sign bits to be turned; totals: sums of the pixels, added to.
 * Fours of codes (0, 2), (1, 3), the last filled up with what 0 becomes. */
MCU_INLINE uint32_t *mcu_widen_two(
    uint32_t *to, const uint8_t *p, const uint8_t *q, int32_t totals[2], const int n, const uint32_t flip)
{
    for (int32_t left = n; left > 0; left -= 4, p += 4, q += 4, to += 4) {
        const uint32_t a = (left < 4 ? mcu_load_some(p, n % 4) : mcu_load(p)) ^ flip;
        const uint32_t b = (left < 4 ? mcu_load_some(q, n % 4) : mcu_load(q)) ^ flip;
        to[0] = mcu_even(a, 1);
        to[1] = mcu_even(b, 1);
        to[2] = mcu_odd(a, 1);
        to[3] = mcu_odd(b, 1);
        totals[0] = mcu_smlad(to[2], 0x00010001u, mcu_smlad(to[0], 0x00010001u, totals[0]));
        totals[1] = mcu_smlad(to[3], 0x00010001u, mcu_smlad(to[1], 0x00010001u, totals[1]));
    }
    return to;
}

/* Four packed codes as bytes, signed ones sign-extended; of 4 bits only the first two where not `all`. */
MCU_INLINE uint32_t mcu_four(const uint8_t *from, const int bits, const int is_signed, const int32_t all)
{
    uint32_t v = from[0];
    if (bits == 4) {
        if (all) v |= (uint32_t)from[1] << 8;
        v = (v | v << 8) & 0x00FF00FFu;
        v = (v | v << 4) & 0x0F0F0F0Fu;
        return is_signed ? v | (v & 0x08080808u) * 0x1Eu : v;
    }
    v = (v | v << 12) & 0x000F000Fu;
    v = (v | v << 6) & 0x03030303u;
    return is_signed ? v | (v & 0x02020202u) * 0x7Eu : v;
}

/* A row of depthwise weights as mcu_spread has them. */
MCU_INLINE void mcu_row_of_three(uint32_t spread[2], int32_t a, int32_t b, int32_t c)
{
    spread[0] = mcu_lows((uint32_t)a, (uint32_t)b);
    spread[1] = mcu_lows((uint32_t)b, (uint32_t)c);
}

#ifdef MCU_DSP
/* Three products of one term; MCS_EVEN begins with r12 loaded, MCS_ODD with lr. r3 mask, r10 weights, r11 of the term. */
#define MCS_PRODUCTS(TURN, A, B, AT) \
    "and r11, r3, r10" TURN "\n ldr " B ", [r0, #" #AT " + 4]\n umlal r4, r5, r11, " A "\n" \
    "ldr " A ", [r0, #" #AT " + 8]\n umlal r6, r7, r11, " B "\n ldr " B ", [r0, #" #AT " + 12]\n" \
    "umlal r8, r9, r11, " A "\n"
#define MCS_EVEN(TURN, AT) MCS_PRODUCTS(TURN, "r12", "lr", AT)
#define MCS_ODD(TURN, AT) MCS_PRODUCTS(TURN, "lr", "r12", AT)
#define MCS_FIELDS(NAME, LOW, HIGH, BODY) \
    MCU_ASM void NAME( \
        MCU_ARG const uint32_t *x, MCU_ARG const uint32_t *w, MCU_ARG int32_t turns, MCU_ARG uint64_t sums[3]) \
    { \
        __asm__("push {r3-r11, lr}\n movw r3, #" #LOW "\n movt r3, #" #HIGH "\n" \
            "movs r4, #0\n movs r5, #0\n movs r6, #0\n movs r7, #0\n mov r8, #0\n mov r9, #0\n" \
            "ldr r10, [r1], #4\n ldr r12, [r0]\n1:\n" BODY \
            "add r0, #96\n ldr r10, [r1], #4\n subs r2, #1\n bne 1b\n" \
            "pop {r3}\n stm r3, {r4-r9}\n pop {r4-r11, pc}\n"); \
    }
/* NAME(x, w, turns, sums): three sums of fields over 8 * turns terms. Reads a word beyond x and w. */
MCS_FIELDS(mcu_fields2, 0x0003, 0xC000,
    MCS_EVEN("", 0) MCS_ODD(", ror #4", 12) MCS_EVEN(", ror #8", 24) MCS_ODD(", ror #12", 36)
    MCS_EVEN(", ror #16", 48) MCS_ODD(", ror #20", 60) MCS_EVEN(", ror #24", 72) MCS_ODD(", ror #28", 84))
MCS_FIELDS(mcu_fields4, 0x000F, 0xF000,
    MCS_EVEN("", 0) MCS_ODD(", ror #8", 12) MCS_EVEN(", ror #16", 24) MCS_ODD(", ror #24", 36) "ldr r10, [r1], #4\n"
    MCS_EVEN("", 48) MCS_ODD(", ror #8", 60) MCS_EVEN(", ror #16", 72) MCS_ODD(", ror #24", 84))

/* Two terms of four channels and two pixels: 16 products in eight cycles. r2 weights, r3 their lower fields, r12, lr x. */
#define MCS_NESTED(FIRST, LANES, SECOND, THIRD, FOURTH, MORE, AT) \
    FIRST "smlad r4, " LANES ", r12, r4\n smlad r5, " LANES ", lr, r5\n" SECOND MORE \
    "smlad r6, r3, r12, r6\n smlad r7, r3, lr, r7\n and r3, r3, #" THIRD "\n" \
    "smlad r8, r3, r12, r8\n smlad r9, r3, lr, r9\n and r3, r3, #" FOURTH "\n" \
    "smlad r10, r3, r12, r10\n ldr r12, [r0, #" #AT " + 8]\n smlad r11, r3, lr, r11\n ldr lr, [r0, #" #AT " + 12]\n"
#define MCS_NESTED4(AT, MORE) \
    MCS_NESTED("", "r2", "bic r3, r2, #0xF000F000\n", "0x00FF00FF", "0x000F000F", MORE, AT)
#define MCS_NESTED2(AT, TURN, MORE) \
    MCS_NESTED("uxtb16 r3, r2" TURN "\n", "r3", "bic r3, r3, #0x00C000C0\n", "0x000F000F", "0x00030003", MORE, AT)
#define MCS_NEXT "ldr r2, [r1], #4\n"
#define MCS_APART(HIGH, LOW, BITS) "sub " HIGH ", " HIGH ", " LOW "\n asr " HIGH ", " HIGH ", #" #BITS "\n"
#define MCS_NESTS(NAME, BITS, BODY) \
    MCU_ASM void NAME( \
        MCU_ARG const uint32_t *x, MCU_ARG const uint32_t *w, MCU_ARG int32_t turns, MCU_ARG int32_t sums[8]) \
    { \
        __asm__("push {r3-r11, lr}\n add r2, r1, r2, lsl #(" #BITS " / 2 + 3)\n push {r2}\n" \
            "movs r4, #0\n movs r5, #0\n movs r6, #0\n movs r7, #0\n mov r8, #0\n mov r9, #0\n mov r10, #0\n" \
            "mov r11, #0\n ldr r2, [r1], #4\n ldr r12, [r0]\n ldr lr, [r0, #4]\n1:\n" BODY \
            "ldr r3, [sp]\n add r0, #64\n cmp r1, r3\n ldr r2, [r1], #4\n bne 1b\n" \
            MCS_APART("r4", "r6", 3 * BITS) MCS_APART("r5", "r7", 3 * BITS) MCS_APART("r6", "r8", 2 * BITS) \
            MCS_APART("r7", "r9", 2 * BITS) MCS_APART("r8", "r10", BITS) MCS_APART("r9", "r11", BITS) \
            "pop {r2, r3}\n stm r3, {r4-r11}\n pop {r4-r11, pc}\n"); \
    }
/* NAME(x, w, turns, sums): the sums of the fourth channel in both pixels, then of the third, second and first, over
 * 16 * turns terms. Reads two words beyond x and one beyond w. */
MCS_NESTS(mcu_nested2, 2,
    MCS_NESTED2(0, "", "") MCS_NESTED2(8, ", ror #8", MCS_NEXT) MCS_NESTED2(16, "", "")
    MCS_NESTED2(24, ", ror #8", MCS_NEXT) MCS_NESTED2(32, "", "") MCS_NESTED2(40, ", ror #8", MCS_NEXT)
    MCS_NESTED2(48, "", "") MCS_NESTED2(56, ", ror #8", ""))
MCS_NESTS(mcu_nested4, 4,
    MCS_NESTED4(0, MCS_NEXT) MCS_NESTED4(8, MCS_NEXT) MCS_NESTED4(16, MCS_NEXT) MCS_NESTED4(24, MCS_NEXT)
    MCS_NESTED4(32, MCS_NEXT) MCS_NESTED4(40, MCS_NEXT) MCS_NESTED4(48, MCS_NEXT) MCS_NESTED4(56, ""))
#else
#define MCS_FIELDS(NAME, BITS) \
    MCU_INLINE void NAME(const uint32_t *x, const uint32_t *w, int32_t turns, uint64_t sums[3]) \
    { \
        sums[0] = sums[1] = sums[2] = 0; \
        for (int32_t k = 0; k < 8 * turns; k++) \
            for (int32_t i = 0, turn = 2 * BITS * k % 32; i < 3; i++) { \
                const uint32_t word = w[2 * BITS * k / 32], turned = turn ? word >> turn | word << (32 - turn) : word; \
                sums[i] += (uint64_t)x[3 * k + i] * (turned & (((1u << BITS) - 1) | ~0u << (32 - BITS))); \
            } \
    }
MCS_FIELDS(mcu_fields2, 2)
MCS_FIELDS(mcu_fields4, 4)

#define MCS_NESTS(NAME, BITS) \
    MCU_INLINE void NAME(const uint32_t *x, const uint32_t *w, int32_t turns, int32_t sums[8]) \
    { \
        int32_t nested[10] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0}; \
        for (int32_t k = 0; k < 8 * turns; k++) { \
            const uint32_t lanes = BITS == 4 ? w[k] : (w[k / 2] >> (k % 2 * 8)) & 0x00FF00FFu; \
            for (int32_t i = 0; i < 8; i++) { \
                const uint32_t field = (1u << (BITS * (4 - i / 2))) - 1; \
                nested[i] = mcu_smlad(lanes & (field << 16 | field), x[2 * k + i % 2], nested[i]); \
            } \
        } \
        for (int32_t i = 0; i < 8; i++) \
            sums[i] = (int32_t)((uint32_t)nested[i] - (uint32_t)nested[i + 2]) >> (BITS * (3 - i / 2)); \
    }
MCS_NESTS(mcu_nested2, 2)
MCS_NESTS(mcu_nested4, 4)
#endif

#endif
