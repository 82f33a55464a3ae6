/* Binary depthwise convolution, 32 channels in the bits of a word; templates/kernels/fast_binary_depthwise.c.j2.
 * Matches of activation and weight are counted in bit planes, and compared with thresholds in planes
 * or spread into bytes. */
#ifndef MCU_BINARY_DEPTHWISE_H
#define MCU_BINARY_DEPTHWISE_H

#include "mcu_binary.h"

/* Bit planes of 32 counts, lowest first. */
typedef struct mcb_planes {
    uint32_t b0, b1, b2, b3, b4;
} mcb_planes;

/* The sum's bits; the carries go to *carry. */
MCU_INLINE uint32_t mcb_full_add(uint32_t x, uint32_t y, uint32_t z, uint32_t *carry)
{
    const uint32_t half = x ^ y;
    *carry = (x & y) | (half & z);
    return half ^ z;
}

/* One row of three taps of a 3x3 window; weights are inverted, so that XOR gives matches. */
MCU_INLINE uint32_t mcb_row_of_three(const uint32_t *in, const uint32_t *weights, const int words, uint32_t *carry)
{
    return mcb_full_add(in[0] ^ weights[0], in[words] ^ weights[words], in[2 * words] ^ weights[2 * words], carry);
}

/* Matches of a whole 3x3 window; rows of the input are `pitch` words apart, taps of the weights `words`. */
MCU_INLINE mcb_planes mcb_nine(const uint32_t *in, const uint32_t *weights, const int words, const int pitch)
{
    uint32_t two0, two1, two2, two3, four0;
    const uint32_t one0 = mcb_row_of_three(in, weights, words, &two0);
    const uint32_t one1 = mcb_row_of_three(in + pitch, weights + 3 * words, words, &two1);
    const uint32_t one2 = mcb_row_of_three(in + 2 * pitch, weights + 6 * words, words, &two2);
    const uint32_t one = mcb_full_add(one0, one1, one2, &two3);
    const uint32_t twos = mcb_full_add(two0, two1, two2, &four0);
    const uint32_t four1 = twos & two3;
    return (mcb_planes){one, twos ^ two3, four0 ^ four1, four0 & four1, 0};
}

MCU_INLINE uint32_t mcb_half_add(uint32_t *low, uint32_t carry)
{
    const uint32_t both = *low & carry;
    *low ^= carry;
    return both;
}

/* Matches over `rows` by `columns` taps, one by one; rows of the weights are `step` words apart. */
MCU_INLINE mcb_planes mcb_some(const uint32_t *in, const uint32_t *weights, int32_t rows, int32_t columns,
    const int words, const int pitch, const int step)
{
    mcb_planes sum = {0, 0, 0, 0, 0};
    for (; rows > 0; rows--, in += pitch, weights += step)
        for (int32_t x = 0; x < columns * words; x += words) {
            const uint32_t carry = mcb_half_add(&sum.b1, mcb_half_add(&sum.b0, in[x] ^ weights[x]));
            sum.b4 ^= mcb_half_add(&sum.b3, mcb_half_add(&sum.b2, carry));
        }
    return sum;
}

MCU_INLINE uint32_t mcb_borrow(uint32_t count, uint32_t threshold, uint32_t below)
{
    return (threshold & below) | (~count & (threshold | below));
}

/* Bits: count < threshold, planes of thresholds lowest first. */
MCU_INLINE uint32_t mcb_below(mcb_planes sum, const uint32_t *thresholds, const int planes)
{
    uint32_t below = mcb_borrow(sum.b1, thresholds[1], thresholds[0] & ~sum.b0);
    if (planes > 2) below = mcb_borrow(sum.b2, thresholds[2], below);
    if (planes > 3) below = mcb_borrow(sum.b3, thresholds[3], below);
    if (planes > 4) below = mcb_borrow(sum.b4, thresholds[4], below);
    return below;
}

/* Twice the counts of channels j, j + 8, j + 16 and j + 24 as bytes, plus `add`. */
MCU_INLINE uint32_t mcb_four_counts(mcb_planes sum, const int j, uint32_t add, const int planes)
{
    uint32_t count = (sum.b0 >> j & MCB_BYTES) + ((sum.b1 >> j & MCB_BYTES) << 1);
    if (planes > 2) count += (sum.b2 >> j & MCB_BYTES) << 2;
    if (planes > 3) count += (sum.b3 >> j & MCB_BYTES) << 3;
    if (planes > 4) count += (sum.b4 >> j & MCB_BYTES) << 4;
    return add + 2u * count;
}

/* Counts of 32 channels as bytes: twice the sums, and `more`; channel c's is byte c / 8 of word c % 8. */
MCU_INLINE void mcb_spread(mcb_word *counts, mcb_planes sum, int32_t more, const int planes)
{
    const uint32_t add = (uint32_t)more * MCB_BYTES;
    counts[0] = mcb_four_counts(sum, 0, add, planes);
    counts[1] = mcb_four_counts(sum, 1, add, planes);
    counts[2] = mcb_four_counts(sum, 2, add, planes);
    counts[3] = mcb_four_counts(sum, 3, add, planes);
    counts[4] = mcb_four_counts(sum, 4, add, planes);
    counts[5] = mcb_four_counts(sum, 5, add, planes);
    counts[6] = mcb_four_counts(sum, 6, add, planes);
    counts[7] = mcb_four_counts(sum, 7, add, planes);
}

#endif
