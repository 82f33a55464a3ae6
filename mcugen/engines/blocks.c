/* A Unicorn block hook: counts executed instructions exactly and stops the CPU at a deadline. */
#include <stdint.h>

#define SLOTS 65536u

typedef struct block {
    uint32_t address, size, instructions;
} block;

/* The first four fields are set from Python (see unicorn.py). */
typedef struct counter {
    uint64_t instructions;
    uint64_t deadline;
    int (*stop)(void *uc);
    int (*read)(void *uc, uint64_t address, void *bytes, uint64_t size);
    block blocks[SLOTS];
} counter;

uint64_t counter_bytes(void);
void count_block(void *uc, uint64_t address, uint32_t size, void *context);

uint64_t counter_bytes(void) { return sizeof(counter); }

static uint32_t count(void *uc, const counter *self, uint32_t address, uint32_t size) {
    uint8_t code[4096];
    uint32_t instructions = 0;
    if (size > sizeof code || self->read(uc, address, code, size) != 0) {
        return size / 2; /* a translated block is never longer than a page */
    }
    for (uint32_t at = 0; at + 1 < size; instructions++) {
        at += code[at + 1] >= 0xE8 ? 4 : 2; /* first halfword 0b11101, 0b11110, 0b11111: 32 bits */
    }
    return instructions;
}

void count_block(void *uc, uint64_t address, uint32_t size, void *context) {
    counter *self = context;
    if (self->instructions >= self->deadline) {
        (void)self->stop(uc); /* Unicorn leaves before it runs this block */
        return;
    }
    uint32_t start = (uint32_t)address & ~1u;
    block *entry = &self->blocks[(start >> 1) % SLOTS];
    if (entry->address != start || entry->size != size) {
        *entry = (block){start, size, count(uc, self, start, size)};
    }
    self->instructions += entry->instructions;
}
