/* Binary convolution of small images: sums over the activations that are set; templates/kernels/fast_binary_sets.c.j2.
 *
 * Every input pixel gets a list of its channels with activation +1, and from the other end of the same memory one of
 * those with -1. A window's lists, of whichever sign is rarer, become one list of offsets into the weights: one word a
 * tap and channel, 32 output channels in its bits. Sixteen such words at a time go through a tree of full adders, so
 * that 32 sums are counted at once in bit planes. Whatever the image, a list has at most half of the window. */
#ifndef MCU_BINARY_SETS_H
#define MCU_BINARY_SETS_H

#include "mcu_binary.h"

/* Lists of one pixel: size[0] offsets (4 * channel) of set channels in front, the others behind. */
MCU_INLINE void mcb_list_codes(const int8_t *codes, uint16_t *list, uint16_t *size, const int channels)
{
    uint16_t *front = list, *back = list + channels - 1;
    for (int32_t c = 0; c < 4 * channels; c += 4) {
        const int32_t unset = *codes++ < 0;
        *front = *back = (uint16_t)c;
        front += 1 - unset;
        back -= unset;
    }
    *size = (uint16_t)(front - list);
}

MCU_INLINE void mcb_list_words(const uint32_t *words, uint16_t *list, uint16_t *size, const int channels)
{
    uint16_t *front = list, *back = list + channels - 1;
    for (int32_t c = 0; c < channels; c++) {
        const uint32_t set = words[c >> 5] >> (c & 31) & 1u;
        *front = *back = (uint16_t)(4 * c);
        front += set;
        back -= 1 - (int32_t)set;
    }
    *size = (uint16_t)(front - list);
}

/* What a window's sums need. */
typedef struct mcb_window_list {
    int32_t blocks; /* of 16 offsets */
    int32_t flip;   /* the list has the unset activations */
    uint32_t base;  /* what the counts begin with */
} mcb_window_list;

/* The list of the window at (iy, ix): offsets into the weights, filled up with that of the zero word behind them. */
MCU_INLINE mcb_window_list mcb_make_list(const mcb_shape *k, const uint16_t *lists, const uint16_t *sizes, int32_t iy,
    int32_t ix, uint16_t *list, const int twice)
{
    const int terms = k->kh * k->kw * k->channels;
    const int32_t y0 = mcb_max(0, -iy), y1 = y0 + mcb_inside(iy, k->in_h, k->kh);
    const int32_t x0 = mcb_max(0, -ix), x1 = x0 + mcb_inside(ix, k->in_w, k->kw);
    const int32_t valid = (y1 - y0) * (x1 - x0) * k->channels;
    int32_t set = 0;
    for (int32_t y = y0; y < y1; y++)
        for (int32_t x = x0; x < x1; x++) set += sizes[(iy + y) * k->in_w + ix + x];
    const int32_t flip = 2 * set > valid;
    uint16_t *to = list;
    for (int32_t y = y0; y < y1; y++)
        for (int32_t x = x0; x < x1; x++) {
            const int32_t pixel = (iy + y) * k->in_w + ix + x, size = sizes[pixel];
            const uint16_t *from = lists + pixel * k->channels + (flip ? size : 0);
            const uint32_t add = (uint32_t)((y * k->kw + x) * k->channels * 4) * 0x00010001u;
            const int32_t n = flip ? k->channels - size : size;
            for (int32_t i = 0; i < n; i += 4) {
                const uint32_t one = mcu_load(from + i), two = mcu_load(from + i + 2);
                mcu_store(to + i, one + add);
                mcu_store(to + i + 2, two + add);
            }
            to += n;
        }
    const int32_t blocks = (int32_t)(to - list + 15) / 16;
    for (int32_t i = 0; i < 16; i += 2) mcu_store(to + i, (uint32_t)(4 * terms) * 0x00010001u);
    const int32_t base = twice ? terms + valid - 2 * set : valid - set + (terms - valid) / 2;
    return (mcb_window_list){blocks, flip, (uint32_t)base * 0x00010001u};
}

/* mcb_gather(list, weights, sixteens, blocks, planes): bit planes 1, 2, 4, 8 of the sums of the words at the offsets in
 * the list, and for every block of 16 what each sum carries into 16. */
#ifdef MCU_DSP
/* r0 list, r1 weights, r2 sixteens, r3 blocks, r4-r7 planes. Scheduled for the Cortex-M7: 57 cycles for 16 words. */
MCU_ASM void mcb_gather(MCU_ARG const uint16_t *list, MCU_ARG const uint32_t *weights, MCU_ARG uint32_t *sixteens,
    MCU_ARG int32_t blocks, MCU_ARG uint32_t *planes)
{
    __asm__("push {r4-r11, lr}\n mov r4, #0\n mov r5, #0\n mov r6, #0\n mov r7, #0\n cmp r3, #0\n beq 2f\n"
            "1:\n"
            "ldrh r8, [r0], #2\n ldrh r9, [r0], #2\n ldrh r11, [r0], #2\n ldrh r12, [r0], #2\n ldr r8, [r1, r8]\n"
            "eor r10, r4, r8\n and r8, r4, r8\n ldr r11, [r1, r11]\n ldr r9, [r1, r9]\n eor r4, r10, r9\n"
            "and r10, r9\n orr r8, r10\n ldrh r10, [r0], #2\n eor lr, r4, r11\n and r11, r4, r11\n eor r9, r5, r8\n"
            "and r8, r5, r8\n ldr r10, [r1, r10]\n ldr r12, [r1, r12]\n eor r4, lr, r12\n and lr, r12\n"
            "ldrh r12, [r0], #2\n orr r11, lr\n eor r5, r9, r11\n and r9, r11\n ldrh r11, [r0], #2\n orr r8, r9\n"
            "ldrh r9, [r0], #2\n eor lr, r4, r10\n and r10, r4, r10\n ldr r12, [r1, r12]\n eor r4, lr, r12\n"
            "and lr, r12\n orr r10, lr\n ldr r9, [r1, r9]\n eor lr, r5, r10\n ldr r11, [r1, r11]\n eor r12, r4, r11\n"
            "and r11, r4, r11\n eor r4, r12, r9\n and r12, r9\n orr r11, r12\n ldrh r12, [r0], #2\n and r10, r5, r10\n"
            "eor r5, lr, r11\n and lr, r11\n ldrh r11, [r0], #2\n orr r10, lr\n eor r9, r6, r8\n and r8, r6, r8\n"
            "eor r6, r9, r10\n ldr r11, [r1, r11]\n and r9, r10\n orr r8, r9\n ldr r12, [r1, r12]\n eor lr, r4, r12\n"
            "ldrh r10, [r0], #2\n ldrh r9, [r0], #2\n and r12, r4, r12\n eor r4, lr, r11\n and lr, r11\n"
            "ldr r10, [r1, r10]\n orr r12, lr\n ldr r9, [r1, r9]\n eor r11, r4, r10\n and r10, r4, r10\n"
            "eor r4, r11, r9\n and r11, r9\n ldrh r9, [r0], #2\n orr r10, r11\n ldrh r11, [r0], #2\n eor lr, r5, r12\n"
            "and r12, r5, r12\n ldr r9, [r1, r9]\n eor r5, lr, r10\n and lr, r10\n eor r10, r4, r9\n and r9, r4, r9\n"
            "ldr r11, [r1, r11]\n eor r4, r10, r11\n and r10, r11\n orr r12, lr\n ldrh lr, [r0], #2\n"
            "ldrh r11, [r0], #2\n orr r9, r10\n ldr lr, [r1, lr]\n ldr r11, [r1, r11]\n eor r10, r4, lr\n"
            "and lr, r4, lr\n eor r4, r10, r11\n and r10, r11\n eor r11, r5, r9\n orr lr, r10\n eor r10, r6, r12\n"
            "and r9, r5, r9\n and r12, r6, r12\n eor r5, r11, lr\n and r11, lr\n orr r9, r11\n eor lr, r7, r8\n"
            "eor r6, r10, r9\n and r10, r9\n orr r12, r10\n and r8, r7, r8\n eor r7, lr, r12\n and lr, r12\n"
            "orr r8, lr\n str r8, [r2], #4\n"
            "subs r3, #1\n bne 1b\n"
            "2: ldr r8, [sp, #36]\n stm r8, {r4-r7}\n pop {r4-r11, pc}\n");
}
#else
/* low, a, b: the sum's low bit stays in low, the carry goes to a. */
#define MCB_FULL(low, a, b) \
    do { \
        const uint32_t half = low ^ a; \
        a = (low & a) | (half & b); \
        low = half ^ b; \
    } while (0)

MCU_INLINE void mcb_gather(
    const uint16_t *list, const uint32_t *weights, uint32_t *sixteens, int32_t blocks, uint32_t *planes)
{
    for (int i = 0; i < 4; i++) planes[i] = 0;
    for (; blocks > 0; blocks--, list += 16) {
        uint32_t w[16];
        for (int i = 0; i < 16; i++) w[i] = weights[list[i] / 4];
        for (int level = 0, n = 16; n > 1; level++, n /= 2)
            for (int i = 0; i < n; i += 2) {
                MCB_FULL(planes[level], w[i], w[i + 1]);
                w[i / 2] = w[i];
            }
        *sixteens++ = w[0];
    }
}
#endif

/* Adds carry c to a plane; c becomes the carry out of it. */
#define MCB_CARRY(plane, c) \
    do { \
        const uint32_t both = plane & c; \
        plane ^= c; \
        c = both; \
    } while (0)
/* A step of an 8 by 8 transposition of bits. */
#define MCB_SWAP(x, y, by, mask) \
    do { \
        const uint32_t t = (x >> by ^ y) & mask; \
        y ^= t; \
        x ^= t << by; \
    } while (0)

/* Counts of 32 channels, as halfwords, from bit planes: base -+ ones +- twice the sums; ones: set weights of the
 * window. Channels come out as lanes 0, 16, 8, 24, 1, 17, 9, 25, .. `many`: sums may exceed 1023. */
MCU_INLINE void mcb_scatter(mcb_word *counts, const uint32_t planes[4], const uint32_t *sixteens, const mcb_word *ones,
    mcb_window_list w, const int twice, const int many)
{
    uint32_t b0 = planes[0], b1 = planes[1], b2 = planes[2], b3 = planes[3];
    uint32_t b4 = 0, b5 = 0, b6 = 0, b7 = 0, b8 = 0, b9 = 0, b10 = 0, b11 = 0, b12 = 0;
    for (; w.blocks > 0; w.blocks--) {
        uint32_t c = *sixteens++;
        MCB_CARRY(b4, c);
        MCB_CARRY(b5, c);
        MCB_CARRY(b6, c);
        MCB_CARRY(b7, c);
        MCB_CARRY(b8, c);
        if (many) {
            MCB_CARRY(b9, c);
            MCB_CARRY(b10, c);
            MCB_CARRY(b11, c);
            b12 ^= c;
        } else {
            b9 ^= c;
        }
    }
    MCB_SWAP(b0, b1, 1, 0x55555555u);
    MCB_SWAP(b2, b3, 1, 0x55555555u);
    MCB_SWAP(b4, b5, 1, 0x55555555u);
    MCB_SWAP(b6, b7, 1, 0x55555555u);
    MCB_SWAP(b0, b2, 2, 0x33333333u);
    MCB_SWAP(b1, b3, 2, 0x33333333u);
    MCB_SWAP(b4, b6, 2, 0x33333333u);
    MCB_SWAP(b5, b7, 2, 0x33333333u);
    MCB_SWAP(b0, b4, 4, MCB_LOW);
    MCB_SWAP(b1, b5, 4, MCB_LOW);
    MCB_SWAP(b2, b6, 4, MCB_LOW);
    MCB_SWAP(b3, b7, 4, MCB_LOW);
    const uint32_t low[8] = {b0, b1, b2, b3, b4, b5, b6, b7};
    for (int j = 0; j < 8; j++) {
        uint32_t high = (b8 >> j & MCB_BYTES) | (b9 >> j & MCB_BYTES) << 1;
        if (many) high |= (b10 >> j & MCB_BYTES) << 2 | (b11 >> j & MCB_BYTES) << 3 | (b12 >> j & MCB_BYTES) << 4;
        const uint32_t even = ((low[j] & 0x00FF00FFu) | (high & 0x00FF00FFu) << 8) << (1 + twice);
        const uint32_t odd = ((low[j] >> 8 & 0x00FF00FFu) | (high & 0xFF00FF00u)) << (1 + twice);
        const uint32_t one = ones[2 * j] << twice, two = ones[2 * j + 1] << twice;
        counts[2 * j] = w.flip ? w.base + one - even : w.base - one + even;
        counts[2 * j + 1] = w.flip ? w.base + two - odd : w.base - two + odd;
    }
}

#endif
