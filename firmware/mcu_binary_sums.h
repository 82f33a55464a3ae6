/* Binary convolution: sums of entries of the tables of mcu_binary_tables.h.
 *
 * Three entries add up to at most 15 a nibble. Their sum s goes to `a` whole and its high nibbles to `b`:
 *     a += s;  b += (s >> 4) & 0x0F0F0F0F;   at the end: high nibbles = b, low nibbles = a - 16 * b, modulo 2^32. */
#ifndef MCU_BINARY_SUMS_H
#define MCU_BINARY_SUMS_H

#include "mcu_binary_tables.h"

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

#endif
