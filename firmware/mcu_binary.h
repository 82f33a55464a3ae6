/* Binary convolution: sums of products of -1 and +1 by table.
 *
 * Up to five activations of one pixel form an index byte (bits 3 to 7, or 3 to 6 where no group has five). For every
 * group a table holds, for each index, the number of matching weights (0 to 5) of 16 output channels, one nibble each,
 * in two words. Three entries add up to at most 15. Their sum s goes to `a` whole and its high nibbles to `b`:
 *     a += s;  b += (s >> 4) & 0x0F0F0F0F;   at the end: high nibbles = b, low nibbles = a - 16 * b, bytes modulo 2^32.
 * The packed weights are expanded into such tables in scratch just before use. A product's sum is 2 * matches - terms.
 * Layouts: mcugen/kernels_binary.py. */
#ifndef MCU_BINARY_H
#define MCU_BINARY_H

#include <stdint.h>

#define MCU_BINARY_INLINE static inline __attribute__((always_inline))

/* A word anywhere in memory. The first is for aligned, the second for unaligned addresses. */
typedef uint32_t __attribute__((may_alias)) mcu_word;
typedef uint32_t __attribute__((may_alias, aligned(1))) mcu_loose;

typedef struct {
    int32_t in_h, in_w, out_h, out_w, kh, kw, sh, sw, top, left;
    int32_t channels;     /* of the input */
    int32_t fives, fours; /* groups of one input pixel: 4 * fives of five channels, then `fours` of four */
    int32_t stride;       /* bytes of one group's table: 256, or 128 without groups of five */
    int32_t part_h, part_w; /* taps whose tables are in scratch at a time */
} mcu_binary;

typedef struct {
    uint32_t a0, a1, b0, b1;
} mcu_nibbles;

#define MCU_BYTES 0x01010101u
#define MCU_SIGNS 0x80808080u
#define MCU_ONES 0x11111111u
#define MCU_LOW 0x0F0F0F0Fu

#if defined(__clang__)
#define MCU_UNROLL _Pragma("unroll")
#define MCU_UNROLL2
#define MCU_UNROLL4
#else
#define MCU_UNROLL _Pragma("GCC unroll 8")
#define MCU_UNROLL2 _Pragma("GCC unroll 2")
#define MCU_UNROLL4 _Pragma("GCC unroll 4")
#endif

#if defined(__arm__) && defined(__ARM_FEATURE_DSP) && defined(__OPTIMIZE__)
#define MCU_BINARY_DSP 1
#else
#define MCU_BINARY_DSP 0
#endif

/* A constant that the compiler shall keep in a register instead of building it into shifts and immediates. */
MCU_BINARY_INLINE uint32_t mcu_in_register(uint32_t value)
{
#if MCU_BINARY_DSP
    __asm__("" : "+r"(value));
#endif
    return value;
}

/* ---- sums ------------------------------------------------------------------------------------------------------- */

/* pointer + byte number `byte` of word */
MCU_BINARY_INLINE const uint8_t *mcu_at_byte(const uint8_t *pointer, uint32_t word, int byte)
{
#if MCU_BINARY_DSP && !defined(__clang__)
    const uint8_t *out;
    if (byte == 0) __asm__("uxtab %0, %1, %2" : "=r"(out) : "r"(pointer), "r"(word));
    else if (byte == 1) __asm__("uxtab %0, %1, %2, ror #8" : "=r"(out) : "r"(pointer), "r"(word));
    else if (byte == 2) __asm__("uxtab %0, %1, %2, ror #16" : "=r"(out) : "r"(pointer), "r"(word));
    else __asm__("uxtab %0, %1, %2, ror #24" : "=r"(out) : "r"(pointer), "r"(word));
    return out;
#else
    return pointer + ((word >> (8 * byte)) & 255u);
#endif
}

/* Adds the entries of one to three groups. */
MCU_BINARY_INLINE void mcu_add_entries(mcu_nibbles *s, const uint8_t *e0, const uint8_t *e1, const uint8_t *e2, int n, int words)
{
    const mcu_word *p0 = (const mcu_word *)(const void *)e0;
    const mcu_word *p1 = (const mcu_word *)(const void *)e1;
    const mcu_word *p2 = (const mcu_word *)(const void *)e2;
    const uint32_t low = p0[0] + (n > 1 ? p1[0] : 0u) + (n > 2 ? p2[0] : 0u);
    s->a0 += low;
    s->b0 += (low >> 4) & MCU_LOW;
    if (words == 2) {
        const uint32_t high = p0[1] + (n > 1 ? p1[1] : 0u) + (n > 2 ? p2[1] : 0u);
        s->a1 += high;
        s->b1 += (high >> 4) & MCU_LOW;
    }
}

/* On GCC the loops below are scheduled by hand: its own schedule needs a quarter more cycles. All 14 registers. */
#if MCU_BINARY_DSP && !defined(__clang__)
#define MCU_SUM12_16(S) \
    "ldr %[w], [%[ix]], #4\n" "uxtab %[x0], %[t], %[w]\n" "uxtab %[x1], %[t], %[w], ror #8\n" \
    "ldrd %[x0], %[y0], [%[x0]]\n" "ldrd %[x1], %[y1], [%[x1], #1*" S "]\n" "uxtab %[x2], %[t], %[w], ror #16\n" \
    "add %[x0], %[x0], %[x1]\n" "uxtab %[x1], %[t], %[w], ror #24\n" "ldr %[w], [%[ix]], #4\n" \
    "ldrd %[x2], %[y2], [%[x2], #2*" S "]\n" "add %[t], %[t], #4*" S "\n" "add %[x0], %[x0], %[x2]\n" \
    "uxtab %[x2], %[t], %[w]\n" "add %[a0], %[a0], %[x0]\n" "add %[y0], %[y0], %[y1]\n" \
    "and %[x0], %[m], %[x0], lsr #4\n" "add %[b0], %[b0], %[x0]\n" "add %[y0], %[y0], %[y2]\n" \
    "ldrd %[x2], %[y2], [%[x2]]\n" "uxtab %[x0], %[t], %[w], ror #8\n" "add %[a1], %[a1], %[y0]\n" \
    "ldrd %[x1], %[y1], [%[x1], #3*" S "]\n" "add %[y1], %[y1], %[y2]\n" "and %[y0], %[m], %[y0], lsr #4\n" \
    "add %[b1], %[b1], %[y0]\n" "add %[x1], %[x1], %[x2]\n" "ldrd %[x0], %[y0], [%[x0], #1*" S "]\n" \
    "uxtab %[x2], %[t], %[w], ror #16\n" "add %[x1], %[x1], %[x0]\n" "uxtab %[x0], %[t], %[w], ror #24\n" \
    "add %[y1], %[y1], %[y0]\n" "ldr %[w], [%[ix]], #4\n" "add %[a1], %[a1], %[y1]\n" \
    "ldrd %[x2], %[y2], [%[x2], #2*" S "]\n" "and %[y1], %[m], %[y1], lsr #4\n" "add %[a0], %[a0], %[x1]\n" \
    "add %[b1], %[b1], %[y1]\n" "and %[x1], %[m], %[x1], lsr #4\n" "add %[b0], %[b0], %[x1]\n" \
    "add %[t], %[t], #4*" S "\n" "ldrd %[x0], %[y0], [%[x0], #3*" S "]\n" "uxtab %[x1], %[t], %[w]\n" \
    "add %[x2], %[x2], %[x0]\n" "uxtab %[x0], %[t], %[w], ror #8\n" "add %[y2], %[y2], %[y0]\n" \
    "ldrd %[x1], %[y1], [%[x1]]\n" "add %[x2], %[x2], %[x1]\n" "add %[y2], %[y2], %[y1]\n" \
    "uxtab %[x1], %[t], %[w], ror #16\n" "add %[a0], %[a0], %[x2]\n" "and %[x2], %[m], %[x2], lsr #4\n" \
    "add %[a1], %[a1], %[y2]\n" "ldrd %[x1], %[y1], [%[x1], #2*" S "]\n" "add %[b0], %[b0], %[x2]\n" \
    "and %[y2], %[m], %[y2], lsr #4\n" "ldrd %[x0], %[y0], [%[x0], #1*" S "]\n" "uxtab %[x2], %[t], %[w], ror #24\n" \
    "add %[x0], %[x0], %[x1]\n" "add %[b1], %[b1], %[y2]\n" "add %[y0], %[y0], %[y1]\n" \
    "ldrd %[x2], %[y2], [%[x2], #3*" S "]\n" "add %[x0], %[x0], %[x2]\n" "add %[y0], %[y0], %[y2]\n" \
    "add %[a0], %[a0], %[x0]\n" "add %[a1], %[a1], %[y0]\n" "and %[y0], %[m], %[y0], lsr #4\n" \
    "add %[t], %[t], #4*" S "\n" "add %[b1], %[b1], %[y0]\n" "and %[x0], %[m], %[x0], lsr #4\n" \
    "add %[b0], %[b0], %[x0]\n"
#define MCU_SUM12_8(S) \
    "ldr %[w], [%[ix]], #4\n" "uxtab %[x3], %[t], %[w], ror #24\n" "uxtab %[x2], %[t], %[w], ror #16\n" \
    "uxtab %[x0], %[t], %[w]\n" "ldr %[x3], [%[x3], #3*" S "]\n" "uxtab %[x1], %[t], %[w], ror #8\n" \
    "ldr %[w], [%[ix]], #4\n" "ldr %[x0], [%[x0]]\n" "add %[t], %[t], #4*" S "\n" \
    "uxtab %[x4], %[t], %[w]\n" "ldr %[x1], [%[x1], #1*" S "]\n" "add %[x0], %[x0], %[x1]\n" \
    "ldr %[x2], [%[x2], #2*" S "]\n" "ldr %[x4], [%[x4]]\n" "add %[x0], %[x0], %[x2]\n" \
    "uxtab %[x5], %[t], %[w], ror #8\n" "add %[x3], %[x3], %[x4]\n" "add %[a0], %[a0], %[x0]\n" \
    "and %[x0], %[m], %[x0], lsr #4\n" "uxtab %[x1], %[t], %[w], ror #24\n" "add %[b0], %[b0], %[x0]\n" \
    "uxtab %[x0], %[t], %[w], ror #16\n" "ldr %[w], [%[ix]], #4\n" "ldr %[x5], [%[x5], #1*" S "]\n" \
    "add %[t], %[t], #4*" S "\n" "uxtab %[x2], %[t], %[w]\n" "add %[x3], %[x3], %[x5]\n" \
    "add %[a0], %[a0], %[x3]\n" "ldr %[x1], [%[x1], #3*" S "]\n" "and %[x3], %[m], %[x3], lsr #4\n" \
    "ldr %[x2], [%[x2]]\n" "uxtab %[x4], %[t], %[w], ror #16\n" "add %[b0], %[b0], %[x3]\n" \
    "uxtab %[x5], %[t], %[w], ror #24\n" "ldr %[x0], [%[x0], #2*" S "]\n" "uxtab %[x3], %[t], %[w], ror #8\n" \
    "ldr %[x4], [%[x4], #2*" S "]\n" "ldr %[x5], [%[x5], #3*" S "]\n" "add %[x0], %[x0], %[x1]\n" \
    "ldr %[x3], [%[x3], #1*" S "]\n" "add %[x0], %[x0], %[x2]\n" "add %[a0], %[a0], %[x0]\n" \
    "add %[x3], %[x3], %[x4]\n" "add %[x3], %[x3], %[x5]\n" "and %[x0], %[m], %[x0], lsr #4\n" \
    "add %[a0], %[a0], %[x3]\n" "add %[b0], %[b0], %[x0]\n" "add %[t], %[t], #4*" S "\n" \
    "and %[x3], %[m], %[x3], lsr #4\n" "add %[b0], %[b0], %[x3]\n"
#define MCU_SUM3_16(S) \
    "ldr %[w], [%[ix]], #3\n" "uxtab %[x2], %[t], %[w], ror #16\n" "uxtab %[x0], %[t], %[w]\n" \
    "uxtab %[x1], %[t], %[w], ror #8\n" "add %[t], %[t], #3*" S "\n" "ldrd %[x0], %[y0], [%[x0]]\n" \
    "ldrd %[x1], %[y1], [%[x1], #1*" S "]\n" "ldrd %[x2], %[y2], [%[x2], #2*" S "]\n" "add %[y0], %[y0], %[y1]\n" \
    "add %[x0], %[x0], %[x1]\n" "add %[y0], %[y0], %[y2]\n" "add %[x0], %[x0], %[x2]\n" \
    "add %[a0], %[a0], %[x0]\n" "add %[a1], %[a1], %[y0]\n" "and %[y0], %[m], %[y0], lsr #4\n" \
    "add %[b1], %[b1], %[y0]\n" "and %[x0], %[m], %[x0], lsr #4\n" "add %[b0], %[b0], %[x0]\n"
#define MCU_SUM3_8(S) \
    "ldr %[w], [%[ix]], #3\n" "uxtab %[x1], %[t], %[w], ror #8\n" "uxtab %[x0], %[t], %[w]\n" \
    "uxtab %[x2], %[t], %[w], ror #16\n" "ldr %[x1], [%[x1], #1*" S "]\n" "ldr %[x0], [%[x0]]\n" \
    "add %[t], %[t], #3*" S "\n" "add %[x0], %[x0], %[x1]\n" "ldr %[x2], [%[x2], #2*" S "]\n" \
    "add %[x0], %[x0], %[x2]\n" "add %[a0], %[a0], %[x0]\n" "and %[x0], %[m], %[x0], lsr #4\n" \
    "add %[b0], %[b0], %[x0]\n"

#define MCU_SUM_16(block, S) \
    __asm__(block(S) \
            : [a0] "+r"(s->a0), [a1] "+r"(s->a1), [b0] "+r"(s->b0), [b1] "+r"(s->b1), [ix] "+r"(*index), [t] "+r"(*table), \
              [w] "=&r"(w), [x0] "=&r"(x0), [x1] "=&r"(x1), [x2] "=&r"(x2), [y0] "=&r"(y0), [y1] "=&r"(y1), [y2] "=&r"(y2) \
            : [m] "r"(MCU_LOW) \
            : "memory")
#define MCU_SUM_8(block, S) \
    __asm__(block(S) \
            : [a0] "+r"(s->a0), [b0] "+r"(s->b0), [ix] "+r"(*index), [t] "+r"(*table), [w] "=&r"(w), [x0] "=&r"(x0), \
              [x1] "=&r"(x1), [x2] "=&r"(x2), [x3] "=&r"(y0), [x4] "=&r"(y1), [x5] "=&r"(y2) \
            : [m] "r"(MCU_LOW) \
            : "memory")
#endif

MCU_BINARY_INLINE void mcu_sum12(mcu_nibbles *s, const uint8_t **index, const uint8_t **table, int32_t stride, int words)
{
#if MCU_BINARY_DSP && !defined(__clang__)
    uint32_t w, x0, x1, x2, y0, y1, y2;
    if (words == 2 && stride == 128) MCU_SUM_16(MCU_SUM12_16, "128");
    else if (words == 2) MCU_SUM_16(MCU_SUM12_16, "256");
    else if (stride == 128) MCU_SUM_8(MCU_SUM12_8, "128");
    else MCU_SUM_8(MCU_SUM12_8, "256");
#else
    const mcu_loose *w = (const mcu_loose *)(const void *)*index;
    const uint8_t *t = *table;
    const uint32_t w0 = w[0], w1 = w[1], w2 = w[2];
    mcu_add_entries(s, mcu_at_byte(t, w0, 0), mcu_at_byte(t, w0, 1) + stride, mcu_at_byte(t, w0, 2) + 2 * stride, 3, words);
    const uint8_t *t1 = t + 4 * stride;
    mcu_add_entries(s, mcu_at_byte(t, w0, 3) + 3 * stride, mcu_at_byte(t1, w1, 0), mcu_at_byte(t1, w1, 1) + stride, 3, words);
    const uint8_t *t2 = t1 + 4 * stride;
    mcu_add_entries(s, mcu_at_byte(t1, w1, 2) + 2 * stride, mcu_at_byte(t1, w1, 3) + 3 * stride, mcu_at_byte(t2, w2, 0), 3, words);
    mcu_add_entries(s, mcu_at_byte(t2, w2, 1) + stride, mcu_at_byte(t2, w2, 2) + 2 * stride, mcu_at_byte(t2, w2, 3) + 3 * stride, 3, words);
    *index += 12;
    *table += 12 * stride;
#endif
}

MCU_BINARY_INLINE void mcu_sum3(mcu_nibbles *s, const uint8_t **index, const uint8_t **table, int32_t stride, int words)
{
#if MCU_BINARY_DSP && !defined(__clang__)
    uint32_t w, x0, x1, x2, y0, y1, y2;
    if (words == 2 && stride == 128) MCU_SUM_16(MCU_SUM3_16, "128");
    else if (words == 2) MCU_SUM_16(MCU_SUM3_16, "256");
    else if (stride == 128) MCU_SUM_8(MCU_SUM3_8, "128");
    else MCU_SUM_8(MCU_SUM3_8, "256");
    (void)y0, (void)y1, (void)y2;
#else
    const uint8_t *i = *index, *t = *table;
    mcu_add_entries(s, t + i[0], t + stride + i[1], t + 2 * stride + i[2], 3, words);
    *index += 3;
    *table += 3 * stride;
#endif
}

/* Adds the next n groups: index bytes at *index, their tables at *table; both advance. */
MCU_BINARY_INLINE void mcu_sum(mcu_nibbles *s, const uint8_t **index, const uint8_t **table, int32_t n, int32_t stride, int words)
{
    for (; n >= 12; n -= 12)
        mcu_sum12(s, index, table, stride, words);
    for (; n >= 3; n -= 3)
        mcu_sum3(s, index, table, stride, words);
    for (; n > 0; n--) {
        const uint8_t *entry = *table + *(*index)++;
        mcu_add_entries(s, entry, entry, entry, 1, words);
        *table += stride;
    }
}

/* ---- tables ------------------------------------------------------------------------------------------------------ */

/* The entries of one group of four or five rows; bit 4 * lane + r of low and high is row r's weight, bit 4 * lane of
 * low5 and high5 that of the fifth. Entry i matches where bit r of i equals the weight; rows that do not exist have
 * weight 1 and index bit 0. The walk follows the Gray code, so that each entry is the one before plus or minus a row. */
#define MCU_WALK4(STEP) \
    STEP(0, 1, add) STEP(1, 3, add) STEP(0, 2, sub) STEP(2, 6, add) STEP(0, 7, add) STEP(1, 5, sub) STEP(0, 4, sub) STEP(3, 12, add) \
    STEP(0, 13, add) STEP(1, 15, add) STEP(0, 14, sub) STEP(2, 10, sub) STEP(0, 11, add) STEP(1, 9, sub) STEP(0, 8, sub)
#define MCU_WALK5(STEP) \
    STEP(4, 24, add) STEP(0, 25, add) STEP(1, 27, add) STEP(0, 26, sub) STEP(2, 30, add) STEP(0, 31, add) STEP(1, 29, sub) \
    STEP(0, 28, sub) STEP(3, 20, sub) STEP(0, 21, add) STEP(1, 23, add) STEP(0, 22, sub) STEP(2, 18, sub) STEP(0, 19, add) \
    STEP(1, 17, sub) STEP(0, 16, sub)
#define MCU_BINARY_ROW(r, wl, wh) const uint32_t l##r = ((wl) & ones) * 2u - ones, h##r = ((wh) & ones) * 2u - ones;

MCU_BINARY_INLINE void mcu_table(mcu_word *t, uint32_t wl, uint32_t wh, uint32_t wl5, uint32_t wh5, int five)
{
    const uint32_t ones = mcu_in_register(MCU_ONES);
    MCU_BINARY_ROW(0, wl, wh) MCU_BINARY_ROW(1, wl >> 1, wh >> 1) MCU_BINARY_ROW(2, wl >> 2, wh >> 2) MCU_BINARY_ROW(3, wl >> 3, wh >> 3) MCU_BINARY_ROW(4, wl5, wh5)
    /* no activation set: each row matches where its weight is 0, that is (1 - (2 w - 1)) / 2 */
    const uint32_t rows = five ? 5u * MCU_ONES : 4u * MCU_ONES;
    uint32_t low = (rows - l0 - l1 - l2 - l3 - (five ? l4 : 0u)) >> 1;
    uint32_t high = (rows - h0 - h1 - h2 - h3 - (five ? h4 : 0u)) >> 1;
#define mcu_op_add +
#define mcu_op_sub -
#define MCU_STEP_C(r, i, op) low = low mcu_op_##op l##r; high = high mcu_op_##op h##r; t[2 * i] = low; t[2 * i + 1] = high;
    t[0] = low;
    t[1] = high;
    MCU_WALK4(MCU_STEP_C)
    if (five) {
        MCU_WALK5(MCU_STEP_C)
    }
}

/* Tables of `taps` taps; returns the weights that follow. A block of four groups of five: 5 * words words, the last
 * `words` hold the fifth rows, bit 4 * lane + g for group g. A group of four: `words` words. */
static __attribute__((noinline, unused)) const uint32_t *mcu_tables(
    const mcu_binary *k, uint8_t *table, const uint32_t *weights, int32_t taps, int words)
{
    for (int32_t tap = 0; tap < taps; tap++) {
        for (int32_t i = 0; i < k->fives; i++) {
            uint32_t low5 = weights[4 * words], high5 = words == 2 ? weights[9] : 0u;
            for (int32_t g = 0; g < 4; g++) {
                mcu_table((mcu_word *)(void *)table, weights[0], words == 2 ? weights[1] : 0u, low5, high5, 1);
                low5 >>= 1, high5 >>= 1;
                weights += words;
                table += k->stride;
            }
            weights += words;
        }
        for (int32_t g = 0; g < k->fours; g++) {
            mcu_table((mcu_word *)(void *)table, weights[0], words == 2 ? weights[1] : 0u, 0, 0, 0);
            weights += words;
            table += k->stride;
        }
    }
    return weights;
}

/* ---- activations to index bytes ----------------------------------------------------------------------------------- */

/* The sign bits of n words: byte j gets those of codes j, 4 + j, 8 + j, .. from bit 7 downwards. */
MCU_BINARY_INLINE uint32_t mcu_signs(const int8_t *codes, int n)
{
    const mcu_loose *w = (const mcu_loose *)(const void *)codes;
    const uint32_t signs = mcu_in_register(MCU_SIGNS);
    uint32_t bits = w[0] & signs;
    for (int i = 1; i < n; i++)
        bits |= (w[i] & signs) >> i;
    return bits;
}

/* Codes of `pixels` pixels: index bits are 1 where a code is negative (its activation -1). */
MCU_BINARY_INLINE void mcu_index_codes(const mcu_binary *k, const int8_t *codes, uint8_t *index, int32_t pixels)
{
    const int32_t rest = k->channels - 20 * k->fives, quads = rest / 16, singles = rest % 16 / 4, last = rest % 4;
    for (int32_t p = 0; p < pixels; p++) {
        for (int32_t i = 0; i < k->fives; i++, codes += 20, index += 4)
            *(mcu_loose *)(void *)index = mcu_signs(codes, 5);
        for (int32_t i = 0; i < quads; i++, codes += 16, index += 4)
            *(mcu_loose *)(void *)index = mcu_signs(codes, 4) >> 1;
        for (int32_t i = 0; i < singles; i++, codes += 4)
            *index++ = (uint8_t)((mcu_signs(codes, 1) * 0x00204081u) >> 25 & 0x78u);
        if (last) {
            uint32_t bits = 0;
            for (int32_t c = 0; c < last; c++)
                bits |= (uint32_t)(codes[c] < 0) << (3 + c);
            *index++ = (uint8_t)bits;
            codes += last;
        }
    }
}

/* Words of bits: index bits are 1 where the activation is +1. */
MCU_BINARY_INLINE void mcu_index_words(const mcu_binary *k, const uint32_t *words, uint8_t *index, int32_t pixels)
{
    const int32_t full = k->channels / 32 + (k->channels % 32 > 16), last = k->channels % 32;
    for (int32_t p = 0; p < pixels; p++) {
        for (int32_t i = 0; i < full; i++, index += 8) {
            const uint32_t w = *words++;
            mcu_loose *out = (mcu_loose *)(void *)index;
            out[0] = (w << 3) & 0x78787878u;
            out[1] = (w >> 1) & 0x78787878u;
        }
        if (last > 0 && last <= 16) {
            const uint32_t w = *words++;
            const uint32_t bits = ((w << 3) & 0x7878u) | ((w >> 1) & 0x7878u) << (last > 8 ? 16 : 8);
            index[0] = (uint8_t)bits;
            if (last > 4) index[1] = (uint8_t)(bits >> 8);
            if (last > 8) index[2] = (uint8_t)(bits >> 16), index[3] = (uint8_t)(bits >> 24);
            index += last > 8 ? 4 : last > 4 ? 2 : 1;
        }
    }
}

/* ---- counts of a band of rows ------------------------------------------------------------------------------------- */

MCU_BINARY_INLINE int32_t mcu_max(int32_t a, int32_t b) { return a > b ? a : b; }
MCU_BINARY_INLINE int32_t mcu_min(int32_t a, int32_t b) { return a < b ? a : b; }

/* acc += bytes 0 and 2 of word (odd: 1 and 3) as halfwords */
MCU_BINARY_INLINE uint32_t mcu_add_bytes(uint32_t acc, uint32_t word, int odd)
{
#if MCU_BINARY_DSP && !defined(__clang__)
    if (odd) __asm__("uxtab16 %0, %0, %1, ror #8" : "+r"(acc) : "r"(word));
    else __asm__("uxtab16 %0, %0, %1" : "+r"(acc) : "r"(word));
    return acc;
#else
    return acc + ((odd ? word >> 8 : word) & 0x00FF00FFu);
#endif
}

/* Adds up to 255 matches a channel to 16-bit counts. */
MCU_BINARY_INLINE void mcu_to_halves(mcu_word *counts, const mcu_nibbles *s, int twice, int words)
{
    const uint32_t bytes[4] = {s->a0 - (s->b0 << 4), s->b0, s->a1 - (s->b1 << 4), s->b1};
MCU_UNROLL
    for (int i = 0; i < 4 * words; i++)
        counts[i] = twice ? counts[i] + 2u * mcu_add_bytes(0u, bytes[i / 2], i % 2) : mcu_add_bytes(counts[i], bytes[i / 2], i % 2);
}

/* One pixel's counts over `rows` rows of n groups each, `pitch` index bytes and `skip` bytes of tables apart. `missing`:
 * what the taps outside the image count. */
MCU_BINARY_INLINE void mcu_window(mcu_word *counts, const uint8_t *index, const uint8_t *table, int32_t rows, int32_t n,
                           int32_t pitch, int32_t skip, int32_t stride, uint32_t missing, int wide, int twice, int first, int words)
{
    if (wide && first) {
MCU_UNROLL
        for (int i = 0; i < 4 * words; i++)
            counts[i] = missing * 0x00010001u;
    }
    const uint32_t start = wide ? 0u : missing * MCU_BYTES;
    mcu_nibbles s = {17u * start, 17u * start, start, start};
MCU_UNROLL
    for (int32_t row = 0; row < rows; row++) {
        if (wide) {
            int32_t left = n;
            for (; left > 48; left -= 48) {
                s = (mcu_nibbles){0, 0, 0, 0};
                mcu_sum(&s, &index, &table, 48, stride, words);
                mcu_to_halves(counts, &s, twice, words);
            }
            s = (mcu_nibbles){0, 0, 0, 0};
            mcu_sum(&s, &index, &table, left, stride, words);
            mcu_to_halves(counts, &s, twice, words);
        } else {
            mcu_sum(&s, &index, &table, n, stride, words);
        }
        index += pitch - n;
        table += skip - n * stride;
    }
    if (wide) return;
    counts[0] = s.a0 - (s.b0 << 4);
    counts[1] = s.b0;
    if (words == 2) counts[2] = s.a1 - (s.b1 << 4), counts[3] = s.b1;
}

/* Counts of output rows y0 to y1 - 1 over the taps from (ty, tx), part_h by part_w of them: 8 * words channels a pixel,
 * bytes, or halfwords if `wide` (then added to what is there unless `first`). A tap outside the image counts half a
 * match a channel, so that every sum is 2 * count - terms; `twice` (only if wide): counts are doubled. */
MCU_BINARY_INLINE void mcu_counts(const mcu_binary *k, const uint8_t *index, const uint8_t *table, mcu_word *counts, int32_t y0,
                           int32_t y1, int32_t ty, int32_t tx, int wide, int twice, int first, int words)
{
    const int32_t groups = 4 * k->fives + k->fours, pitch = k->in_w * groups, skip = k->part_w * groups * k->stride;
    const int32_t reach = k->in_w - k->kw + k->left, inside0 = (k->left + k->sw - 1) / k->sw;
    const int32_t inside1 = reach < 0 ? 0 : mcu_min(reach / k->sw + 1, k->out_w);
    for (int32_t y = y0; y < y1; y++) {
        const int32_t iy = y * k->sh - k->top;
        const int32_t row0 = mcu_max(ty, -iy), row1 = mcu_min(ty + k->part_h, k->in_h - iy);
        const int32_t rows = mcu_min(k->kh, k->in_h - iy) - mcu_max(0, -iy);
        const uint8_t *row = index + (iy + row0) * pitch, *entry = table + (row0 - ty) * skip;
        int32_t x = 0;
        while (x < k->out_w) {
            const int32_t ix = x * k->sw - k->left;
            if (x == inside0 && x < inside1) {
                const uint32_t missing = (uint32_t)(k->channels * k->kw * (k->kh - rows)) >> (twice ? 0 : 1);
                const uint8_t *from = row + (ix + tx) * groups;
                for (; x < inside1; x++) {
                    if (row1 - row0 == k->part_h)
                        mcu_window(counts, from, entry, k->part_h, k->part_w * groups, pitch, skip, k->stride, missing,
                                   wide, twice, first, words);
                    else
                        mcu_window(counts, from, entry, row1 - row0, k->part_w * groups, pitch, skip, k->stride, missing,
                                   wide, twice, first, words);
                    from += k->sw * groups;
                    counts += (wide ? 4 : 2) * words;
                }
                continue;
            }
            const int32_t tap0 = mcu_max(tx, -ix), tap1 = mcu_min(tx + k->part_w, k->in_w - ix);
            const int32_t taps = mcu_min(k->kw, k->in_w - ix) - mcu_max(0, -ix);
            const uint32_t missing = (uint32_t)(k->channels * (k->kh * k->kw - rows * taps)) >> (twice ? 0 : 1);
            mcu_window(counts, row + (ix + tap0) * groups, entry + (tap0 - tx) * groups * k->stride, row1 - row0,
                       mcu_max(tap1 - tap0, 0) * groups, pitch, skip, k->stride, missing, wide, twice, first, words);
            counts += (wide ? 4 : 2) * words;
            x++;
        }
    }
}

/* ---- from counts to codes and bits -------------------------------------------------------------------------------- */

/* offset + (a * mult >> 32), floor */
MCU_BINARY_INLINE int32_t mcu_add_high(int32_t offset, int32_t a, int32_t mult)
{
#if MCU_BINARY_DSP && !defined(__clang__)
    int32_t out;
    __asm__("smmla %0, %1, %2, %3" : "=r"(out) : "r"(a), "r"(mult), "r"(offset));
    return out;
#else
    return offset + (int32_t)(((int64_t)a * mult) >> 32);
#endif
}

/* bytes of a + b (or a - b), each clipped to -128 .. 127 */
MCU_BINARY_INLINE uint32_t mcu_add_clip(uint32_t a, uint32_t b, int minus)
{
#if MCU_BINARY_DSP
    uint32_t out;
    if (minus) __asm__("qsub8 %0, %1, %2" : "=r"(out) : "r"(a), "r"(b));
    else __asm__("qadd8 %0, %1, %2" : "=r"(out) : "r"(a), "r"(b));
    return out;
#else
    uint32_t out = 0;
    for (int i = 0; i < 32; i += 8) {
        const int32_t x = (int8_t)(a >> i), y = (int8_t)(b >> i);
        const int32_t v = minus ? x - y : x + y;
        out |= (uint32_t)(v < -128 ? -128 : v > 127 ? 127 : v) % 256u << i;
    }
    return out;
#endif
}

MCU_BINARY_INLINE int32_t mcu_clip8(int32_t v)
{
#if MCU_BINARY_DSP && !defined(__clang__)
    __asm__("ssat %0, #8, %0" : "+r"(v));
    return v;
#else
    return v < -128 ? -128 : v > 127 ? 127 : v;
#endif
}

/* The tables of one channel, 256 bytes each. Without residual: count -> code. With one: count -> what to add, as first -
 * second, where the sum is clipped to -128 .. 127 after the first and to lo .. 127 after the second (which is why that
 * holds 128 + lo more, added again at the end). Beyond -254 .. 254 nothing changes. */
MCU_BINARY_INLINE void mcu_lookup_table(uint8_t *table, int second, int32_t terms, int32_t pre, int32_t post, int32_t mult,
                                 int32_t offset, int32_t lo, int32_t hi)
{
    int32_t acc = -terms * (1 << pre);
MCU_UNROLL2
    for (int32_t count = 0; count <= terms; count++, acc += 2 << pre, table++) {
        const int32_t v = mcu_add_high(offset, acc, mult) >> post;
        if (second) {
            const int32_t one = mcu_clip8(v);
            table[0] = (uint8_t)one;
            table[256] = (uint8_t)mcu_clip8(one - v + 128 + lo);
        } else {
            table[0] = (uint8_t)(v < lo ? lo : v > hi ? hi : v);
        }
    }
}

/* Bytes of four tables `step` apart, at the four counts. */
MCU_BINARY_INLINE uint32_t mcu_lookup4(uint32_t counts, const uint8_t *tables, int32_t step)
{
    const uint8_t *at0 = mcu_at_byte(tables, counts, 0), *at1 = mcu_at_byte(tables, counts, 1);
    const uint8_t *at2 = mcu_at_byte(tables, counts, 2), *at3 = mcu_at_byte(tables, counts, 3);
    return at0[0] | (uint32_t)at1[step] << 8 | (uint32_t)at2[2 * step] << 16 | (uint32_t)at3[3 * step] << 24;
}

MCU_BINARY_INLINE uint32_t mcu_residual4(uint32_t counts, const uint8_t *tables, uint32_t residual, uint32_t back)
{
    const uint8_t *at0 = mcu_at_byte(tables, counts, 0), *at1 = mcu_at_byte(tables, counts, 1);
    const uint8_t *at2 = mcu_at_byte(tables, counts, 2), *at3 = mcu_at_byte(tables, counts, 3);
    const uint32_t first = at0[0] | (uint32_t)at1[512] << 8 | (uint32_t)at2[1024] << 16 | (uint32_t)at3[1536] << 24;
    const uint32_t second = at0[256] | (uint32_t)at1[768] << 8 | (uint32_t)at2[1280] << 16 | (uint32_t)at3[1792] << 24;
    const uint32_t codes = mcu_add_clip(mcu_add_clip(residual, first, 0), second, 1);
    return back ? mcu_add_clip(codes, back, 0) : codes;
}

#if MCU_BINARY_DSP && !defined(__clang__)
#define MCU_LOOKUP8_RESIDUAL \
    "ldr %[w], [%[c]], #4\n" "uxtab %[x1], %[t], %[w], ror #8\n" "uxtab %[x0], %[t], %[w]\n" \
    "uxtab %[x3], %[t], %[w], ror #24\n" "ldrb %[x5], [%[x1], #512]\n" "uxtab %[x2], %[t], %[w], ror #16\n" \
    "ldrb %[x4], [%[x0], #0]\n" "ldrb %[x1], [%[x1], #768]\n" "ldrb %[x0], [%[x0], #256]\n" \
    "ldr %[w], [%[c]], #4\n" "orr %[x4], %[x4], %[x5], lsl #8\n" "ldrb %[x5], [%[x2], #1024]\n" \
    "orr %[x0], %[x0], %[x1], lsl #8\n" "ldrb %[x2], [%[x2], #1280]\n" "uxtab %[x1], %[t], %[w]\n" \
    "orr %[x4], %[x4], %[x5], lsl #16\n" "ldrb %[x5], [%[x3], #1536]\n" "orr %[x0], %[x0], %[x2], lsl #16\n" \
    "ldrb %[x3], [%[x3], #1792]\n" "uxtab %[x2], %[t], %[w], ror #8\n" "orr %[x4], %[x4], %[x5], lsl #24\n" \
    "ldr %[x5], [%[r]], #4\n" "qadd8 %[x4], %[x5], %[x4]\n" "ldrb %[x5], [%[x1], #2048]\n" \
    "orr %[x0], %[x0], %[x3], lsl #24\n" "ldrb %[x6], [%[x2], #2560]\n" "qsub8 %[x4], %[x4], %[x0]\n" \
    "ldrb %[x2], [%[x2], #2816]\n" "uxtab %[x3], %[t], %[w], ror #16\n" "ldrb %[x1], [%[x1], #2304]\n" \
    "qadd8 %[x4], %[x4], %[back]\n" "orr %[x5], %[x5], %[x6], lsl #8\n" "ldrb %[x6], [%[x3], #3072]\n" \
    "str %[x4], [%[o]], #4\n" "uxtab %[x4], %[t], %[w], ror #24\n" "ldrb %[x3], [%[x3], #3328]\n" \
    "orr %[x5], %[x5], %[x6], lsl #16\n" "ldrb %[x6], [%[x4], #3584]\n" "ldrb %[x4], [%[x4], #3840]\n" \
    "orr %[x1], %[x1], %[x2], lsl #8\n" "orr %[x1], %[x1], %[x3], lsl #16\n" "orr %[x5], %[x5], %[x6], lsl #24\n" \
    "ldr %[x6], [%[r]], #4\n" "qadd8 %[x5], %[x6], %[x5]\n" "orr %[x1], %[x1], %[x4], lsl #24\n" \
    "qsub8 %[x5], %[x5], %[x1]\n" "qadd8 %[x5], %[x5], %[back]\n" "str %[x5], [%[o]], #4\n"
#define MCU_LOOKUP8 \
    "ldr %[w], [%[c]], #4\n" "uxtab %[x3], %[t], %[w], ror #24\n" "uxtab %[x0], %[t], %[w]\n" \
    "uxtab %[x2], %[t], %[w], ror #16\n" "uxtab %[x1], %[t], %[w], ror #8\n" "ldr %[w], [%[c]], #4\n" \
    "ldrb %[x4], [%[x0], #0]\n" "uxtab %[x6], %[t], %[w], ror #8\n" "ldrb %[x1], [%[x1], #256]\n" \
    "uxtab %[x5], %[t], %[w]\n" "ldrb %[x2], [%[x2], #512]\n" "uxtab %[x7], %[t], %[w], ror #16\n" \
    "ldrb %[x6], [%[x6], #1280]\n" "ldrb %[x3], [%[x3], #768]\n" "orr %[x4], %[x4], %[x1], lsl #8\n" \
    "uxtab %[x0], %[t], %[w], ror #24\n" "ldrb %[x1], [%[x5], #1024]\n" "orr %[x4], %[x4], %[x2], lsl #16\n" \
    "ldrb %[x7], [%[x7], #1536]\n" "orr %[x4], %[x4], %[x3], lsl #24\n" "ldrb %[x0], [%[x0], #1792]\n" \
    "str %[x4], [%[o]], #4\n" "orr %[x1], %[x1], %[x6], lsl #8\n" "orr %[x1], %[x1], %[x7], lsl #16\n" \
    "orr %[x1], %[x1], %[x0], lsl #24\n" "str %[x1], [%[o]], #4\n"

#endif

/* Codes of eight channels at *out; all pointers advance by eight channels. */
MCU_BINARY_INLINE void mcu_lookup8(uint8_t **out, const uint8_t **residual, const mcu_word **counts, const uint8_t *tables,
                            uint32_t back, int adds)
{
#if MCU_BINARY_DSP && !defined(__clang__)
    uint32_t w, x0, x1, x2, x3, x4, x5, x6, x7;
    if (adds)
        __asm__ volatile(MCU_LOOKUP8_RESIDUAL
                         : [o] "+r"(*out), [r] "+r"(*residual), [c] "+r"(*counts), [w] "=&r"(w), [x0] "=&r"(x0), [x1] "=&r"(x1),
                           [x2] "=&r"(x2), [x3] "=&r"(x3), [x4] "=&r"(x4), [x5] "=&r"(x5), [x6] "=&r"(x6)
                         : [t] "r"(tables), [back] "r"(back)
                         : "memory");
    else
        __asm__ volatile(MCU_LOOKUP8
                         : [o] "+r"(*out), [c] "+r"(*counts), [w] "=&r"(w), [x0] "=&r"(x0), [x1] "=&r"(x1), [x2] "=&r"(x2),
                           [x3] "=&r"(x3), [x4] "=&r"(x4), [x5] "=&r"(x5), [x6] "=&r"(x6), [x7] "=&r"(x7)
                         : [t] "r"(tables)
                         : "memory");
#else
    for (int i = 0; i < 2; i++, *out += 4) {
        mcu_loose *to = (mcu_loose *)(void *)*out;
        const uint32_t count = *(*counts)++;
        if (adds) *to = mcu_residual4(count, tables + 2048 * i, *(const mcu_loose *)(const void *)*residual, back), *residual += 4;
        else *to = mcu_lookup4(count, tables + 1024 * i, 256);
    }
#endif
}

/* One chunk's codes on `pixels` pixels by lookup; residual (only read if `adds`) may equal out. */
MCU_BINARY_INLINE void mcu_lookup_codes(uint8_t *out, const uint8_t *residual, int adds, int32_t stride, const mcu_word *counts,
                                 const uint8_t *tables, int32_t lo, int32_t pixels, int channels, int words)
{
    const int32_t each = adds ? 512 : 256;
    const uint32_t back = (uint32_t)(lo + 128) * MCU_BYTES;
    int c = 0;
    for (; channels - c >= 8; c += 8, tables += 8 * each) {
        uint8_t *to = out + c;
        const uint8_t *other = residual + c;
        const mcu_word *from = counts + c / 4;
        for (int32_t p = 0; p < pixels; p++) {
            mcu_lookup8(&to, &other, &from, tables, back, adds);
            to += stride - 8;
            other += stride - 8;
            from += 2 * words - 2;
        }
    }
    for (; c < channels; c += 4, tables += 4 * each)
        for (int32_t p = 0; p < pixels; p++) {
            const int n = channels - c < 4 ? channels - c : 4;
            const uint8_t *other = residual + p * stride + c;
            uint32_t codes = 0;
            for (int i = 0; adds && i < n; i++)
                codes |= (uint32_t)other[i] << (8 * i);
            const uint32_t count = counts[2 * words * p + c / 4];
            codes = adds ? mcu_residual4(count, tables, codes, back) : mcu_lookup4(count, tables, each);
            for (int i = 0; i < n; i++)
                out[p * stride + c + i] = (uint8_t)(codes >> (8 * i));
        }
}

typedef struct {
    int32_t up, less; /* acc << pre = (count << up) - less */
    int32_t post, lo, hi;
    int residual_signed;
} mcu_binary_fixed;

/* v >> post, clipped; a lower end of -127 becomes -128 here, mcu_raise_codes completes it. */
MCU_BINARY_INLINE int32_t mcu_shift_clip(const mcu_binary_fixed *f, int32_t v)
{
#if MCU_BINARY_DSP && !defined(__clang__)
    if (f->hi == 127 && (f->lo == -128 || f->lo == -127) && __builtin_constant_p(f->post)) {
        __asm__("ssat %0, #8, %0, asr %1" : "+r"(v) : "i"(f->post));
        return v;
    }
#endif
    const int32_t lo = f->lo == -127 ? -128 : f->lo;
    v >>= f->post;
    return v < lo ? lo : v > f->hi ? f->hi : v;
}

MCU_BINARY_INLINE int32_t mcu_fixed_sum(const mcu_binary_fixed *f, const uint8_t *count, int wide, uint32_t less, int32_t mult, int32_t offset)
{
    const uint32_t u = wide ? *(const uint16_t *)(const void *)count : *count;
    return mcu_add_high(offset, (int32_t)((u << f->up) - less), mult);
}

MCU_BINARY_INLINE int32_t mcu_shifted(const mcu_binary_fixed *f, uint8_t residual)
{
    return (f->residual_signed ? (int32_t)(int8_t)residual : (int32_t)residual) * (1 << f->post);
}

/* One channel's codes; `counts` are `step` bytes apart, out and residual (only read if `adds`) `stride` bytes. */
MCU_BINARY_INLINE void mcu_fixed_codes(const mcu_binary_fixed *f, uint8_t *out, const uint8_t *residual, int adds, int32_t stride,
                                const uint8_t *counts, int32_t step, int wide, int32_t mult, int32_t offset, int32_t pixels)
{
    const uint32_t less = mcu_in_register((uint32_t)f->less);
    for (; pixels > 0; pixels -= 4) {
        int32_t v[4];
        const int n = pixels < 4 ? pixels : 4; 
        if (n == 4) {
MCU_UNROLL
            for (int i = 0; i < 4; i++)
                v[i] = mcu_fixed_sum(f, counts + i * step, wide, less, mult, offset);
            if (adds) {
MCU_UNROLL
                for (int i = 0; i < 4; i++)
                    v[i] += mcu_shifted(f, residual[i * stride]);
            }
MCU_UNROLL
            for (int i = 0; i < 4; i++)
                v[i] = mcu_shift_clip(f, v[i]);
MCU_UNROLL
            for (int i = 0; i < 4; i++)
                out[i * stride] = (uint8_t)v[i];
        } else {
            for (int i = 0; i < n; i++) {
                v[0] = mcu_fixed_sum(f, counts + i * step, wide, less, mult, offset);
                out[i * stride] = (uint8_t)mcu_shift_clip(f, v[0] + (adds ? mcu_shifted(f, residual[i * stride]) : 0));
            }
        }
        counts += 4 * step;
        out += 4 * stride;
        residual += 4 * stride;
    }
}

/* Codes -128 to -127, on `pixels` pixels. */
MCU_BINARY_INLINE void mcu_raise_codes(uint8_t *out, int32_t stride, int32_t pixels, int channels)
{
    for (; pixels > 0; pixels--, out += stride) {
        int c = 0;
        for (; channels - c >= 4; c += 4) {
            mcu_loose *codes = (mcu_loose *)(void *)(out + c);
            *codes = mcu_add_clip(mcu_add_clip(*codes, MCU_BYTES, 1), MCU_BYTES, 0);
        }
        for (; c < channels; c++)
            out[c] = out[c] == 128 ? 129 : out[c];
    }
}

/* yes where byte of a >= byte of b, else 0 */
MCU_BINARY_INLINE uint32_t mcu_where_ge(uint32_t a, uint32_t b, uint32_t yes)
{
#if MCU_BINARY_DSP
    uint32_t out;
    __asm__("usub8 %0, %1, %2\n\tsel %0, %3, %4" : "=&r"(out) : "r"(a), "r"(b), "r"(yes), "r"(0) : "cc");
    return out;
#else
    uint32_t out = 0;
    for (uint32_t byte = 0xFFu; byte; byte <<= 8)
        out |= (a & byte) >= (b & byte) ? yes & byte : 0u;
    return out;
#endif
}

/* Eight channels of byte counts to eight bits: count >= threshold. */
MCU_BINARY_INLINE uint32_t mcu_eight_bits(const mcu_word *counts, const mcu_word *thresholds)
{
    const uint32_t bits =
        mcu_where_ge(counts[0], thresholds[0], 0x08040201u) | mcu_where_ge(counts[1], thresholds[1], 0x80402010u);
    return (bits * MCU_BYTES) >> 24;
}

#endif
