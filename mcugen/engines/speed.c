/* What Unicorn calls too often for Python: counting the instructions of each block, and the UART's data path. */
#include <stdint.h>

#define SLOTS 65536u
#define WIRE 65536u

typedef struct block {
    uint32_t address, size, instructions;
} block;

/* Twin of _Counter in counter.py, which sees the first four fields. */
typedef struct counter {
    uint64_t instructions;
    uint64_t deadline;
    int (*stop)(void *uc);
    int (*read)(void *uc, uint64_t address, void *bytes, uint64_t size);
    block blocks[SLOTS];
} counter;

/* Twin of _Wire in wire.py. */
typedef struct wire {
    uint32_t rx_at, rx_end, tx_end;
    uint32_t open; /* the UART's set-up has been checked: bytes may leave without asking Python */
    uint64_t (*read)(uint32_t offset);
    void (*write)(uint32_t offset, uint64_t value);
    uint8_t rx[WIRE], tx[WIRE];
} wire;

uint64_t counter_bytes(void);
uint64_t wire_bytes(void);
void count_block(void *uc, uint64_t address, uint32_t size, void *context);
uint64_t read_uart(void *uc, uint64_t offset, unsigned size, void *context);
void write_uart(void *uc, uint64_t offset, unsigned size, uint64_t value, void *context);

uint64_t counter_bytes(void) { return sizeof(counter); }

uint64_t wire_bytes(void) { return sizeof(wire); }

static uint32_t count(void *uc, const counter *self, uint32_t address, uint32_t size) {
    uint8_t code[4096];
    uint32_t instructions = 0;
    if (size > sizeof code || self->read(uc, address, code, size) != 0) {
        return size / 2; /* cannot happen: a translated block is never longer than a page */
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

/* Offsets from the page of USART3: ISR (with TXE, TC, TEACK, REACK; RXNE), RDR, TDR. */
uint64_t read_uart(void *uc, uint64_t offset, unsigned size, void *context) {
    wire *self = context;
    (void)uc;
    (void)size;
    if (offset == 0x81C) {
        return 0x006000C0u | (self->rx_at < self->rx_end ? 0x20u : 0u);
    }
    if (offset == 0x824) {
        return self->rx_at < self->rx_end ? self->rx[self->rx_at++] : 0u;
    }
    return self->read((uint32_t)offset);
}

void write_uart(void *uc, uint64_t offset, unsigned size, uint64_t value, void *context) {
    wire *self = context;
    (void)uc;
    (void)size;
    if (offset == 0x828 && self->open && self->tx_end < WIRE) {
        self->tx[self->tx_end++] = (uint8_t)value;
    } else {
        self->write((uint32_t)offset, value);
    }
}
