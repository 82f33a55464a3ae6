/* Windows of rows for layers that run by bands (templates/kernels/rows.c.j2, mcugen/planning/bands.py). */
#ifndef MCU_ROWS_H
#define MCU_ROWS_H

#include <stdint.h>

static inline int32_t mcu_least(int32_t a, int32_t b) { return a < b ? a : b; }
static inline int32_t mcu_most(int32_t a, int32_t b) { return a > b ? a : b; }
static inline int32_t mcu_within(int32_t row, int32_t height) { return mcu_least(mcu_most(row, 0), height); }

/* Where row 0 would lie, were the rows from `keep` on, which lie at `rows`, part of a whole tensor. */
static inline uint8_t *mcu_row_0(uint8_t *rows, int32_t keep, int32_t row_bytes)
{
    return (uint8_t *)((uintptr_t)rows - (uintptr_t)(keep * row_bytes));
}

/* Moves rows `from` to `end` to the front of a window that begins with row `keep`; returns `from`, its new first row. */
static inline int32_t mcu_keep_rows(uint8_t *rows, int32_t keep, int32_t end, int32_t from, int32_t row_bytes)
{
    if (from > keep && end > from)
        __builtin_memmove(rows, rows + (from - keep) * row_bytes, (uint32_t)((end - from) * row_bytes));
    return from;
}

#endif
