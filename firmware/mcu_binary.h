/* Binary convolution: sums of products of -1 and +1 by table; templates/kernels/fast_binary_conv.c.j2.
 *
 * Up to five activations of one pixel form an index byte (bits 3 to 7, or 3 to 6 where no group has five). For every
 * group a table holds, for each index, the number of matching weights (0 to 5) of 16 output channels, one nibble each,
 * in two words. Three entries add up to at most 15. Their sum s goes to `a` whole and its high nibbles to `b`:
 *     a += s;  b += (s >> 4) & 0x0F0F0F0F;   at the end: high nibbles = b, low nibbles = a - 16 * b, modulo 2^32.
 * The packed weights are expanded into such tables in scratch just before use. A sum of products is twice the matches
 * less the number of terms. What is packed where: mcugen/kernels/binary_pack.py. */
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

/* ---- sums ------------------------------------------------------------------------------------------------------ */

/* Four lanes at a time: low and high nibbles of the words, as bytes. */
typedef struct mcb_nibbles {
    uint32_t a[2], b[2];
} mcb_nibbles;

/* Adds n groups, three at a time; words: 2 for 16 lanes, 1 for 8. */
MCU_INLINE void mcb_add_groups(
    mcb_nibbles *s, const uint8_t *index, const uint8_t *table, int32_t n, const int stride, const int words)
{
    while (n > 0) {
        uint32_t sum[2] = {0, 0};
        for (int i = 0; i < 3 && n > 0; i++, n--, table += stride) {
            const mcb_word *entry = (const mcb_word *)(const void *)(table + *index++);
            for (int w = 0; w < words; w++) sum[w] += entry[w];
        }
        for (int w = 0; w < words; w++) {
            s->a[w] += sum[w];
            s->b[w] += (sum[w] >> 4) & MCB_LOW;
        }
    }
}

/* Counts of one pixel: `rows` rows of n groups. Bytes are stored, counted from `start` on; halfwords (wide) added. */
MCU_INLINE void mcb_window(mcb_word *counts, const uint8_t *index, const uint8_t *table, int32_t rows, const int32_t n,
    const int pitch, const int skip, const int stride, const uint32_t start, const int wide, const int words)
{
    mcb_nibbles s = {{17u * start, 17u * start}, {start, start}};
    for (; rows > 0; rows--, index += pitch, table += skip) {
        for (int32_t done = 0; done < n; done += 48) {
            mcb_add_groups(&s, index + done, table + done * stride, n - done < 48 ? n - done : 48, stride, words);
            for (int w = 0; wide && w < words; w++) {
                const uint32_t bytes[2] = {s.a[w] - (s.b[w] << 4), s.b[w]};
                for (int i = 0; i < 4; i++) counts[4 * w + i] += (bytes[i / 2] >> (8 * (i % 2))) & 0x00FF00FFu;
                s.a[w] = s.b[w] = 0;
            }
        }
    }
    for (int w = 0; !wide && w < words; w++) {
        counts[2 * w] = s.a[w] - (s.b[w] << 4);
        counts[2 * w + 1] = s.b[w];
    }
}

/* MCB_RUN defines NAME(index, table, counts, pixels, rows, start): mcb_window for `pixels` pixels side by side, STEP
 * index bytes apart. LANES is 16 or 8, ROWS the only value of `rows` or 0. */
typedef void mcb_run(
    const uint8_t *index, const uint8_t *table, mcb_word *counts, int32_t pixels, int32_t rows, uint32_t start);

#ifdef MCU_DSP
/* r0 index, r1 table, r2 index word, r3 MCB_LOW, r4-r7 a0, b0, a1, b1, the rest entries. Stack: index, table, counts,
 * pixels, saved registers, end of the tables, start. Scheduled for the Cortex-M7: 43 cycles for 12 groups of 16 lanes,
 * 27 of 8 lanes. */
#define MCB_SUM12_16(S, AFTER) \
    "ldr r2, [r0], #4\n uxtab r8, r1, r2\n uxtab r10, r1, r2, ror #8\n ldrd r8, r9, [r8]\n" \
    "ldrd r10, r11, [r10, #1 * " #S "]\n uxtab r12, r1, r2, ror #16\n add r8, r10\n" \
    "uxtab r10, r1, r2, ror #24\n ldr r2, [r0], #4\n ldrd r12, lr, [r12, #2 * " #S "]\n add r1, #4 * " #S "\n" \
    "add r8, r12\n uxtab r12, r1, r2\n add r4, r8\n add r9, r11\n and r8, r3, r8, lsr #4\n add r5, r8\n" \
    "add r9, lr\n ldrd r12, lr, [r12]\n uxtab r8, r1, r2, ror #8\n add r6, r9\n" \
    "ldrd r10, r11, [r10, #3 * " #S "]\n add r11, lr\n and r9, r3, r9, lsr #4\n add r7, r9\n add r10, r12\n" \
    "ldrd r8, r9, [r8, #1 * " #S "]\n uxtab r12, r1, r2, ror #16\n add r10, r8\n uxtab r8, r1, r2, ror #24\n" \
    "add r11, r9\n ldr r2, [r0], #4\n " AFTER " add r6, r11\n ldrd r12, lr, [r12, #2 * " #S "]\n" \
    "and r11, r3, r11, lsr #4\n add r4, r10\n add r7, r11\n and r10, r3, r10, lsr #4\n add r5, r10\n" \
    "add r1, #4 * " #S "\n ldrd r8, r9, [r8, #3 * " #S "]\n uxtab r10, r1, r2\n add r12, r8\n" \
    "uxtab r8, r1, r2, ror #8\n add lr, r9\n ldrd r10, r11, [r10]\n add r12, r10\n add lr, r11\n" \
    "uxtab r10, r1, r2, ror #16\n add r4, r12\n and r12, r3, r12, lsr #4\n add r6, lr\n" \
    "ldrd r10, r11, [r10, #2 * " #S "]\n add r5, r12\n and lr, r3, lr, lsr #4\n ldrd r8, r9, [r8, #1 * " #S "]\n" \
    "uxtab r12, r1, r2, ror #24\n add r8, r10\n add r7, lr\n add r9, r11\n ldrd r12, lr, [r12, #3 * " #S "]\n" \
    "add r8, r12\n add r9, lr\n add r4, r8\n add r6, r9\n and r9, r3, r9, lsr #4\n add r1, #4 * " #S "\n" \
    "add r7, r9\n and r8, r3, r8, lsr #4\n add r5, r8\n"
#define MCB_SUM12_8(S, AFTER) \
    "ldr r2, [r0], #4\n uxtab r11, r1, r2, ror #24\n uxtab r10, r1, r2, ror #16\n uxtab r8, r1, r2\n" \
    "ldr r11, [r11, #3 * " #S "]\n uxtab r9, r1, r2, ror #8\n ldr r2, [r0], #4\n ldr r8, [r8]\n" \
    "add r1, #4 * " #S "\n uxtab r12, r1, r2\n ldr r9, [r9, #1 * " #S "]\n add r8, r9\n" \
    "ldr r10, [r10, #2 * " #S "]\n ldr r12, [r12]\n add r8, r10\n uxtab lr, r1, r2, ror #8\n add r11, r12\n" \
    "add r4, r8\n and r8, r3, r8, lsr #4\n uxtab r9, r1, r2, ror #24\n add r5, r8\n" \
    "uxtab r8, r1, r2, ror #16\n ldr r2, [r0], #4\n " AFTER " ldr lr, [lr, #1 * " #S "]\n add r1, #4 * " #S "\n" \
    "uxtab r10, r1, r2\n add r11, lr\n add r4, r11\n ldr r9, [r9, #3 * " #S "]\n and r11, r3, r11, lsr #4\n" \
    "ldr r10, [r10]\n uxtab r12, r1, r2, ror #16\n add r5, r11\n uxtab lr, r1, r2, ror #24\n" \
    "ldr r8, [r8, #2 * " #S "]\n uxtab r11, r1, r2, ror #8\n ldr r12, [r12, #2 * " #S "]\n" \
    "ldr lr, [lr, #3 * " #S "]\n add r8, r9\n ldr r11, [r11, #1 * " #S "]\n add r8, r10\n add r4, r8\n" \
    "add r11, r12\n add r11, lr\n and r8, r3, r8, lsr #4\n add r4, r11\n add r5, r8\n add r1, #4 * " #S "\n" \
    "and r11, r3, r11, lsr #4\n add r5, r11\n"
#define MCB_SUM3_16(S) \
    "ldr r2, [r0], #3\n uxtab r12, r1, r2, ror #16\n uxtab r8, r1, r2\n uxtab r10, r1, r2, ror #8\n" \
    "add r1, #3 * " #S "\n ldrd r8, r9, [r8]\n ldrd r10, r11, [r10, #1 * " #S "]\n" \
    "ldrd r12, lr, [r12, #2 * " #S "]\n add r9, r11\n add r8, r10\n add r9, lr\n add r8, r12\n add r4, r8\n" \
    "add r6, r9\n and r9, r3, r9, lsr #4\n add r7, r9\n and r8, r3, r8, lsr #4\n add r5, r8\n"
#define MCB_SUM3_8(S) \
    "ldr r2, [r0], #3\n uxtab r9, r1, r2, ror #8\n uxtab r8, r1, r2\n uxtab r10, r1, r2, ror #16\n" \
    "ldr r9, [r9, #1 * " #S "]\n ldr r8, [r8]\n add r1, #3 * " #S "\n add r8, r9\n ldr r10, [r10, #2 * " #S "]\n" \
    "add r8, r10\n add r4, r8\n and r8, r3, r8, lsr #4\n add r5, r8\n"
#define MCB_SUM1_16(S) \
    "ldrb r2, [r0], #1\n add r2, r1\n add r1, #" #S "\n ldrd r8, r9, [r2]\n add r4, r8\n add r6, r9\n" \
    "and r8, r3, r8, lsr #4\n and r9, r3, r9, lsr #4\n add r5, r8\n add r7, r9\n"
#define MCB_SUM1_8(S) \
    "ldrb r2, [r0], #1\n ldr r8, [r1, r2]\n add r1, #" #S "\n add r4, r8\n and r8, r3, r8, lsr #4\n add r5, r8\n"
#define MCB_START0_16 "ldr r5, [sp, #56]\n add r4, r5, r5, lsl #4\n mov r7, r5\n mov r6, r4\n"
#define MCB_START0_8 "ldr r5, [sp, #56]\n add r4, r5, r5, lsl #4\n"
#define MCB_START1_16 "mov r4, #0\n mov r5, #0\n mov r6, #0\n mov r7, #0\n"
#define MCB_START1_8 "mov r4, #0\n mov r5, #0\n"
#define MCB_PAUSE0_16
#define MCB_PAUSE0_8
#define MCB_HALVES(WORD, TWO, FROM, AT) \
    "uxtab16 " WORD ", " WORD ", " FROM "\n uxtab16 " TWO ", " TWO ", " FROM ", ror #8\n" \
    "strd " WORD ", " TWO ", [r2, #" #AT "]\n"
#define MCB_PAUSE1_16 \
    "ldr r2, [sp, #8]\n sub r4, r4, r5, lsl #4\n sub r6, r6, r7, lsl #4\n ldrd r8, r9, [r2]\n" \
    "ldrd r10, r11, [r2, #8]\n" \
    MCB_HALVES("r8", "r9", "r4", 0) "ldrd r8, r9, [r2, #16]\n" MCB_HALVES("r10", "r11", "r5", 8) \
    "ldrd r10, r11, [r2, #24]\n" MCB_HALVES("r8", "r9", "r6", 16) "mov r4, #0\n mov r5, #0\n" \
    MCB_HALVES("r10", "r11", "r7", 24) "mov r6, #0\n mov r7, #0\n"
#define MCB_PAUSE1_8 \
    "ldr r2, [sp, #8]\n sub r4, r4, r5, lsl #4\n ldrd r8, r9, [r2]\n ldrd r10, r11, [r2, #8]\n" \
    MCB_HALVES("r8", "r9", "r4", 0) MCB_HALVES("r10", "r11", "r5", 8) "mov r4, #0\n mov r5, #0\n"
#define MCB_END0_16 \
    "sub r4, r4, r5, lsl #4\n sub r6, r6, r7, lsl #4\n strd r4, r5, [r8], #8\n strd r6, r7, [r8], #8\n"
#define MCB_END0_8 "sub r4, r4, r5, lsl #4\n strd r4, r5, [r8], #8\n"
#define MCB_END1_16 "add r8, #32\n"
#define MCB_END1_8 "add r8, #16\n"
#define MCB_FAR(R, N) \
    ".if (" N ") > 4095\n movw r2, #" N "\n add " R ", r2\n .else\n" \
    ".if " N "\n addw " R ", " R ", #" N "\n .endif\n .endif\n"
#define MCB_RUN(NAME, LANES, S, N, ROWS, PITCH, SKIP, STEP, WIDE) \
    MCU_ASM void NAME(MCU_ARG const uint8_t *index, MCU_ARG const uint8_t *table, MCU_ARG mcb_word *counts, \
        MCU_ARG int32_t pixels, MCU_ARG int32_t rows, MCU_ARG uint32_t start) \
    { \
        __asm__("push {r0-r11, lr}\n ldr r4, [sp, #52]\n movw r5, #" #SKIP "\n mla r4, r4, r5, r1\n" \
            "str r4, [sp, #52]\n mov r3, #0x0F0F0F0F\n" \
            "1: ldr r1, [sp, #4]\n" MCB_START##WIDE##_##LANES \
            ".if " #ROWS "\n .rept " #ROWS "\n" MCB_ROW_(LANES, S, N, PITCH - N, WIDE) ".endr\n .else\n" \
            "2:\n" MCB_ROW_(LANES, S, N, PITCH - N, WIDE) MCB_FAR("r1", #SKIP " - " #N " * " #S) \
            "ldr r2, [sp, #52]\n cmp r1, r2\n bne 2b\n .endif\n" \
            "ldrd r8, r9, [sp, #8]\n ldr r0, [sp]\n" MCB_END##WIDE##_##LANES \
            "subs r9, #1\n add r0, #" #STEP "\n strd r8, r9, [sp, #8]\n str r0, [sp]\n bne 1b\n pop {r0-r11, pc}\n"); \
    }
/* One row: blocks of 48 groups, whose counts fit a byte, then the rest; the index goes on by GAP. */
#define MCB_ROW_(LANES, S, N, GAP, WIDE) \
    ".if " #N " > 48 && " #WIDE "\n mov r2, #(" #N " - 1) / 48\n push {r2}\n" \
    "3:\n .rept 4\n" MCB_SUM12_##LANES(S, "") ".endr\n pop {r12}\n" MCB_PAUSE##WIDE##_##LANES \
    "subs r12, #1\n push {r12}\n bne 3b\n add sp, #4\n" MCB_REST_(LANES, S, (N - 1) % 48 + 1, GAP) \
    ".else\n" MCB_REST_(LANES, S, N, GAP) ".endif\n" MCB_PAUSE##WIDE##_##LANES
#define MCB_REST_(LANES, S, N, GAP) \
    ".if (" #N ") % 12 || (" #GAP ") > 4095\n .rept (" #N ") / 12\n" MCB_SUM12_##LANES(S, "") ".endr\n" \
    ".rept (" #N ") % 12 / 3\n" MCB_SUM3_##LANES(S) ".endr\n .rept (" #N ") % 3\n" MCB_SUM1_##LANES(S) ".endr\n" \
    MCB_FAR("r0", #GAP) ".else\n .rept (" #N ") / 12 - 1\n" MCB_SUM12_##LANES(S, "") ".endr\n" \
    MCB_SUM12_##LANES(S, "addw r0, r0, #" #GAP "\n") ".endif\n"
#else
#define MCB_RUN(NAME, LANES, S, N, ROWS, PITCH, SKIP, STEP, WIDE) \
    MCU_INLINE void NAME(const uint8_t *index, const uint8_t *table, mcb_word *counts, int32_t pixels, int32_t rows, \
        uint32_t start) \
    { \
        for (; pixels > 0; pixels--, index += STEP, counts += (LANES) / ((WIDE) ? 2 : 4)) \
            mcb_window(counts, index, table, rows, N, PITCH, SKIP, S, start, WIDE, (LANES) / 8); \
    }
#endif

MCU_INLINE int32_t mcb_max(int32_t a, int32_t b) { return a > b ? a : b; }
MCU_INLINE int32_t mcb_min(int32_t a, int32_t b) { return a < b ? a : b; }

/* How many of `taps` taps from position `at` on lie inside the image. */
MCU_INLINE int32_t mcb_inside(int32_t at, const int size, const int taps)
{
    return mcb_max(0, mcb_min(taps, size - at) - mcb_max(0, -at));
}

/* Halfword counts of rows y0 to y1 - 1 before and after the sums. A tap outside the image counts half a match for each
 * channel, so that every sum of products is 2 * count - terms; where that is no integer (`twice`), counts double. */
MCU_INLINE void mcb_border(const mcb_shape *k, mcb_word *counts, int32_t y0, int32_t y1, const int words,
    const int twice, const int after)
{
    if (after && !twice) return;
    for (int32_t y = y0; y < y1; y++) {
        const int32_t rows = mcb_inside(y * k->sh - k->top, k->in_h, k->kh);
        for (int32_t x = 0; x < k->out_w; x++) {
            const int32_t taps = rows * mcb_inside(x * k->sw - k->left, k->in_w, k->kw);
            const uint32_t missing = (uint32_t)(k->channels * (k->kh * k->kw - taps));
            const uint32_t add = (after ? missing : twice ? 0u : missing >> 1) * 0x00010001u;
            for (int w = 0; w < words; w++, counts += 4) {
                counts[0] = add + (after ? 2u * counts[0] : 0u);
                counts[1] = add + (after ? 2u * counts[1] : 0u);
                counts[2] = add + (after ? 2u * counts[2] : 0u);
                counts[3] = add + (after ? 2u * counts[3] : 0u);
            }
        }
    }
}

/* Counts of rows y0 to y1 - 1 over the taps from (ty, tx) whose tables are in `table`. `all`, `rows` and `less` sum
 * windows with part_w taps a row, part_h rows of these, and part_w - 1 taps a row; each may be null. */
MCU_INLINE void mcb_counts(const mcb_shape *k, const uint8_t *index, const uint8_t *table, mcb_word *counts, int32_t y0,
    int32_t y1, int32_t ty, int32_t tx, const int wide, const int words, mcb_run *all, mcb_run *rows, mcb_run *less)
{
    const int groups = 4 * k->fives + k->fours, pitch = k->in_w * groups, skip = k->part_w * groups * k->stride;
    for (int32_t y = y0; y < y1; y++) {
        const int32_t iy = y * k->sh - k->top, inside = mcb_inside(iy, k->in_h, k->kh);
        const int32_t row = mcb_max(ty, -iy), high = mcb_max(0, mcb_min(ty + k->part_h, k->in_h - iy) - row);
        for (int32_t x = 0, pixels; x < k->out_w; x += pixels, counts += (wide ? 4 : 2) * words * pixels) {
            const int32_t ix = x * k->sw - k->left;
            const int32_t tap = mcb_max(tx, -ix), taps = mcb_max(0, mcb_min(tx + k->part_w, k->in_w - ix) - tap);
            const uint8_t *from = index + ((iy + row) * k->in_w + ix + tap) * groups;
            const uint8_t *entry = table + ((row - ty) * k->part_w + tap - tx) * groups * k->stride;
            const int32_t missing = k->channels * (k->kh * k->kw - inside * mcb_inside(ix, k->in_w, k->kw));
            const uint32_t start = wide ? 0u : ((uint32_t)missing >> 1) * MCB_BYTES;
            pixels = 1;
            if (all && taps == k->part_w && high > 0) {
                pixels = mcb_min((k->in_w - tx - k->part_w - ix) / k->sw + 1, k->out_w - x);
                (rows && high == k->part_h ? rows : all)(from, entry, counts, pixels, high, start);
            } else if (less && taps == k->part_w - 1 && high > 0) {
                less(from, entry, counts, 1, high, start);
            } else {
                mcb_window(counts, from, entry, high, taps * groups, pitch, skip, k->stride, start, wide, words);
            }
        }
    }
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
