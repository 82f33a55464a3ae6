/* Sums over set weights, 32 pixels in the bits of a word, with partial sums shared between output channels: a list of
 * terms for every nonempty subset of `channels` channels. Measured by shared_sums.py; no kernel does this. */
#include "mcu_binary_sets.h"

enum { TERMS = 1152, WORDS = 6, SUBSETS = 16, PLANES = 10 };

typedef struct count {
    uint32_t plane[PLANES];
} count;

static uint32_t activations[(TERMS + 1) * WORDS], packed[TERMS / 32], sixteens[TERMS / 16 + 1], seed = 1;
static uint16_t lists[SUBSETS][TERMS + 16], sizes[SUBSETS];
static count sums[SUBSETS];
volatile uint32_t result;

static uint32_t draw(void)
{
    seed = seed * 1664525u + 1013904223u;
    return seed >> 8;
}

void prepare(int32_t terms, int32_t channels)
{
    for (int i = 0; i < terms * WORDS; i++) activations[i] = draw() * 2654435761u;
    for (int i = 0; i < TERMS / 32; i++) packed[i] = draw() * 2654435761u;
    for (int i = 0; i < terms; i++) {
        const uint32_t subset = draw() & ((1u << channels) - 1u);
        lists[subset][sizes[subset]++] = (uint16_t)(4 * WORDS * i);
    }
    for (int s = 0; s < SUBSETS; s++)
        while (sizes[s] % 16) lists[s][sizes[s]++] = (uint16_t)(4 * WORDS * TERMS);
}

/* What the list of one channel costs. */
void list(int32_t terms)
{
    mcb_list_words(packed, lists[0], sizes, terms);
}

MCU_INLINE void add(count *to, const count *a, const count *b)
{
    uint32_t carry = 0;
    for (int i = 0; i < PLANES; i++) {
        const uint32_t half = a->plane[i] ^ b->plane[i], both = a->plane[i] & b->plane[i];
        to->plane[i] = half ^ carry;
        carry = both | (half & carry);
    }
}

MCU_INLINE void sum(int s)
{
    uint32_t high[PLANES - 4] = {0};
    mcb_gather(lists[s], activations, sixteens, sizes[s] / 16, sums[s].plane);
    for (int i = 0; i < sizes[s] / 16; i++) {
        uint32_t carry = sixteens[i];
        for (int b = 0; b < PLANES - 4; b++) MCB_CARRY(high[b], carry);
    }
    for (int b = 0; b < PLANES - 4; b++) sums[s].plane[4 + b] = high[b];
}

/* The counts of 32 pixels and all channels. */
void run(int32_t channels)
{
    count shared, total;
    for (int s = 1; s < 1 << channels; s++) sum(s);
    for (int c = 0; c < channels; c++) {
        int first = 1;
        for (int s = 1; s < 1 << channels; s++) {
            if (!(s >> c & 1)) continue;
            if (first) shared = sums[s];
            else add(&total, &shared, &sums[s]), shared = total;
            first = 0;
        }
        for (int i = 0; i < PLANES; i++) result ^= shared.plane[i];
    }
}
