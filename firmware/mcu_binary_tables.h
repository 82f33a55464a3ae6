/* Binary convolution by tables of matches; templates/kernels/fast_binary_conv.c.j2. This file makes index bytes and tables,
 * mcu_binary_sums.h adds entries up.
 *
 * Up to five activations of one pixel form an index byte (bits 3 to 7, or 3 to 6 where no group has five). For every
 * group a table holds, for each index, the number of matching weights (0 to 5) of 16 output channels, one nibble each,
 * in two words. The packed weights are expanded into such tables in scratch just before use. What is packed where:
 * mcugen/kernels/binary_pack.py. */
#ifndef MCU_BINARY_TABLES_H
#define MCU_BINARY_TABLES_H

#include "mcu_binary.h"

/* ---- activations to index bytes -------------------------------------------------------------------------------- */

/* The sign bits of n (1, 4 or 5) words: byte j gets those of codes j, 4 + j, 8 + j, .. from bit 7 downwards. */
MCU_INLINE uint32_t mcb_signs(const int8_t *codes, const int n)
{
    uint32_t signs = MCB_SIGNS, bits;
    __asm__("" : "+r"(signs)); /* one register, not a new immediate for every shift */
    const uint32_t w0 = mcu_load(codes), w1 = n > 1 ? mcu_load(codes + 4) : 0, w2 = n > 1 ? mcu_load(codes + 8) : 0;
    const uint32_t w3 = n > 1 ? mcu_load(codes + 12) : 0, w4 = n > 4 ? mcu_load(codes + 16) : 0;
    bits = ((w0 & signs) | (w1 & signs) >> 1) | ((w2 & signs) >> 2 | (w3 & signs) >> 3);
    return n > 4 ? bits | (w4 & signs) >> 4 : bits;
}

/* Codes of `pixels` pixels: index bits are 1 where a code is negative (its activation -1). */
MCU_INLINE void mcb_index_codes(const mcb_shape *k, const int8_t *codes, uint8_t *index, int32_t pixels)
{
    const int rest = k->channels - 20 * k->fives, last = rest % 4;
    for (; k->channels == 16 && pixels > 1; pixels -= 2, codes += 32, index += 8) {
        const uint32_t first = mcb_signs(codes, 4) >> 1, second = mcb_signs(codes + 16, 4) >> 1;
        mcu_store(index, first);
        mcu_store(index + 4, second);
    }
    for (; pixels > 0; pixels--) {
        for (int i = 0; i < k->fives; i++, codes += 20, index += 4) mcu_store(index, mcb_signs(codes, 5));
        for (int i = 0; i < rest / 16; i++, codes += 16, index += 4) mcu_store(index, mcb_signs(codes, 4) >> 1);
        for (int i = 0; i < rest % 16 / 4; i++, codes += 4)
            *index++ = (uint8_t)((mcb_signs(codes, 1) * 0x00204081u) >> 25 & 0x78u);
        if (!last) continue;
        uint32_t bits = 0;
        for (int c = 0; c < last; c++) bits |= (uint32_t)(*codes++ < 0) << (3 + c);
        *index++ = (uint8_t)bits;
    }
}

/* Words of bits: index bits are 1 where the activation is +1. */
MCU_INLINE void mcb_index_words(const mcb_shape *k, const uint32_t *words, uint8_t *index, int32_t pixels)
{
    const int last = k->channels % 32, full = k->channels / 32 + (last > 16);
    for (; pixels > 0; pixels--) {
        for (int i = 0; i < full; i++, index += 8) {
            const uint32_t w = *words++;
            mcu_store(index, (w << 3) & 0x78787878u);
            mcu_store(index + 4, (w >> 1) & 0x78787878u);
        }
        if (last == 0 || last > 16) continue;
        const uint32_t w = *words++;
        const uint32_t bits = ((w << 3) & 0x7878u) | ((w >> 1) & 0x7878u) << (last > 8 ? 16 : 8);
        const int bytes = last > 8 ? 4 : last > 4 ? 2 : 1;
        for (int i = 0; i < bytes; i++) *index++ = (uint8_t)(bits >> (8 * i));
    }
}

/* The `count` channels from channel `first` on, for each of `pixels` pixels that are `stride` elements apart. */
MCU_INLINE void mcb_slice_codes(
    const int8_t *codes, int8_t *to, int32_t pixels, const int stride, int32_t first, const int count)
{
    for (codes += first; pixels > 0; pixels--, codes += stride)
        for (int c = 0; c < count; c++) *to++ = codes[c];
}

MCU_INLINE void mcb_slice_words(
    const uint32_t *words, uint32_t *to, int32_t pixels, const int stride, int32_t first, const int count)
{
    const int32_t shift = first & 31;
    for (words += first >> 5; pixels > 0; pixels--, words += stride)
        for (int c = 0; c < count; c += 32) {
            const int32_t last = shift + (count - c < 32 ? count - c : 32) - 1;
            const uint32_t low = words[c >> 5] >> shift, high = last > 31 ? words[(c >> 5) + 1] << (32 - shift) : 0u;
            const uint32_t mask = count - c < 32 ? (1u << ((count - c) & 31)) - 1u : ~0u;
            *to++ = (low | high) & mask;
        }
}

/* ---- tables ---------------------------------------------------------------------------------------------------- */

/* STEP(r, i, op): entry i follows from the one before by adding or subtracting row r; the walk is the Gray code. */
#define MCB_WALK4(STEP) \
    STEP(0, 1, add) STEP(1, 3, add) STEP(0, 2, sub) STEP(2, 6, add) STEP(0, 7, add) STEP(1, 5, sub) STEP(0, 4, sub) \
    STEP(3, 12, add) STEP(0, 13, add) STEP(1, 15, add) STEP(0, 14, sub) STEP(2, 10, sub) STEP(0, 11, add) \
    STEP(1, 9, sub) STEP(0, 8, sub)
#define MCB_WALK5(STEP) \
    MCB_WALK4(STEP) STEP(4, 24, add) STEP(0, 25, add) STEP(1, 27, add) STEP(0, 26, sub) STEP(2, 30, add) \
    STEP(0, 31, add) STEP(1, 29, sub) STEP(0, 28, sub) STEP(3, 20, sub) STEP(0, 21, add) STEP(1, 23, add) \
    STEP(0, 22, sub) STEP(2, 18, sub) STEP(0, 19, add) STEP(1, 17, sub) STEP(0, 16, sub)

/* mcb_tables: expands the weights of `taps` taps, returns those that follow.
 * In flash a group has two words; bit 4 * lane + r is the weight of row r. The four groups of a block of fives share
 * two more words, bit 4 * lane + g is the fifth row of group g. Entry i counts the rows r whose weight equals bit r of
 * i; rows that do not exist have weight 1 and index bit 0. */
#ifdef MCU_DSP
#define MCB_ENTRY(R, I, OP) \
    #OP " r2, " MCB_LOW##R "\n" #OP " r3, " MCB_HIGH##R "\n strd r2, r3, [r0, #8 * " #I "]\n"
#define MCB_LOW0 "r4"
#define MCB_LOW1 "r5"
#define MCB_LOW2 "r6"
#define MCB_LOW3 "r7"
#define MCB_LOW4 "r8"
#define MCB_HIGH0 "r9"
#define MCB_HIGH1 "r10"
#define MCB_HIGH2 "r11"
#define MCB_HIGH3 "r12"
#define MCB_HIGH4 "lr"
/* Row as 2 * w - 1 in every nibble; lr holds 2 in every nibble. */
#define MCB_ROW(TO, FROM, SHIFT) "and " TO ", lr, " FROM SHIFT "\n sub " TO ", #0x11111111\n"
#define MCB_ROWS(FROM, A, B, C, D) \
    MCB_ROW(A, FROM, ", lsl #1") MCB_ROW(B, FROM, "") MCB_ROW(C, FROM, ", lsr #1") MCB_ROW(D, FROM, ", lsr #2")
#define MCB_FIVE(FIFTH, SHIFT) \
    "ldr r2, [r1]\n mov lr, #0x22222222\n ldr r3, [r1, #4]\n" MCB_ROWS("r2", "r4", "r5", "r6", "r7") \
    "ldr r2, [r1, #" #FIFTH "]\n" MCB_ROWS("r3", "r9", "r10", "r11", "r12") "ldr r3, [r1, #" #FIFTH " + 4]\n" \
    MCB_ROW("r8", "r2", SHIFT) MCB_ROW("lr", "r3", SHIFT) \
    "rsb r2, r4, #0x55555555\n rsb r3, r9, #0x55555555\n sub r2, r5\n sub r3, r10\n sub r2, r6\n sub r3, r11\n" \
    "sub r2, r7\n sub r3, r12\n sub r2, r8\n sub r3, lr\n lsr r2, #1\n lsr r3, #1\n add r1, #8\n strd r2, r3, [r0]\n" \
    MCB_WALK5(MCB_ENTRY) "add r0, #256\n"
/* Called as (table, weights, taps, fives, fours, stride). */
MCU_ASM const uint32_t *mcb_tables(MCU_ARG uint8_t *table,
    MCU_ARG const uint32_t *weights, MCU_ARG int taps, MCU_ARG int fives, MCU_ARG int fours, MCU_ARG int stride)
{
    __asm__("push {r2-r11, lr}\n"
            "1: ldr r2, [sp, #4]\n cmp r2, #0\n beq 3f\n"
            "2: push {r2}\n" MCB_FIVE(32, ", lsl #1") MCB_FIVE(24, "") MCB_FIVE(16, ", lsr #1") MCB_FIVE(8, ", lsr #2")
            "add r1, #8\n pop {r2}\n subs r2, #1\n bne 2b\n"
            "3: ldr r2, [sp, #44]\n cmp r2, #0\n beq 5f\n"
            "4: push {r2}\n ldr r2, [r1], #4\n mov lr, #0x22222222\n ldr r3, [r1], #4\n"
            MCB_ROWS("r2", "r4", "r5", "r6", "r7") MCB_ROWS("r3", "r9", "r10", "r11", "r12")
            "rsb r2, r4, #0x44444444\n rsb r3, r9, #0x44444444\n sub r2, r5\n sub r3, r10\n sub r2, r6\n sub r3, r11\n"
            "sub r2, r7\n sub r3, r12\n lsr r2, #1\n lsr r3, #1\n ldr r8, [sp, #52]\n strd r2, r3, [r0]\n"
            MCB_WALK4(MCB_ENTRY) "add r0, r8\n pop {r2}\n subs r2, #1\n bne 4b\n"
            "5: ldr r2, [sp]\n subs r2, #1\n str r2, [sp]\n bne 1b\n mov r0, r1\n pop {r2-r11, pc}\n");
}
#else
MCU_INLINE uint32_t mcb_row(uint32_t w)
{
    return (w & MCB_ONES) * 2u - MCB_ONES;
}

MCU_INLINE const uint32_t *mcb_tables(
    uint8_t *table, const uint32_t *weights, int taps, int fives, int fours, int stride)
{
    for (; taps > 0; taps--) {
        for (int g = 0; g < 4 * fives + fours; g++, table += stride) {
            const int five = g < 4 * fives;
            for (int word = 0; word < 2; word++) {
                mcb_word *t = (mcb_word *)(void *)table + word;
                const uint32_t w = weights[word], w5 = five ? weights[8 - 2 * (g % 4) + word] >> (g % 4) : 0u;
                const uint32_t row0 = mcb_row(w), row1 = mcb_row(w >> 1), row2 = mcb_row(w >> 2);
                const uint32_t row3 = mcb_row(w >> 3), row4 = mcb_row(w5);
                uint32_t s = (4u * MCB_ONES - row0 - row1 - row2 - row3 + (five ? MCB_ONES - row4 : 0u)) >> 1;
#define mcb_op_add +
#define mcb_op_sub -
#define MCB_ENTRY(r, i, op) s = s mcb_op_##op row##r; t[2 * i] = s;
                t[0] = s;
                if (five) {
                    MCB_WALK5(MCB_ENTRY)
                } else {
                    MCB_WALK4(MCB_ENTRY)
                }
            }
            weights += five && g % 4 == 3 ? 4 : 2;
        }
    }
    return weights;
}
#endif

#endif
