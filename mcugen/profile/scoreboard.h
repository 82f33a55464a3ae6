/* Types shared by scoreboard.c and, through ctypes, mcugen/profile/native.py: keep both in step. Cycles are of the CPU. */
#ifndef MCUGEN_SCOREBOARD_H
#define MCUGEN_SCOREBOARD_H

#include <stdint.h>

#define REGISTERS 49   /* see instruction.py */
#define MAX_OPERANDS 40
#define MAX_REGIONS 16

enum { NEED_EARLY_IF_LOADED = -2 };
enum { BRANCH_NONE, BRANCH_DIRECT, BRANCH_CONDITIONAL, BRANCH_INDIRECT };

/* instruction.py explains the members; `size` 0 marks an entry not defined. */
typedef struct {
    uint8_t size, units, first_slot, alone, cycles, loads, stores, branch, conditional, n_sources, n_results;
    uint8_t source[MAX_OPERANDS];
    int8_t need[MAX_OPERANDS];
    uint8_t result[MAX_OPERANDS];
    uint8_t latency[MAX_OPERANDS];
} instruction;

/* Cached memory: cycles to fill one line; addresses in no region take none. */
typedef struct {
    uint32_t start, end, fill_cycles;
} region;

/* model.py explains the members. */
typedef struct {
    uint32_t max_loads, mispredict_cycles, indirect_cycles, taken_cycles, load_extra_cycles;
    uint32_t line_bytes, icache_sets, icache_ways, dcache_sets, dcache_ways, write_miss_stalls;
    uint32_t n_regions;
    region regions[MAX_REGIONS];
} settings;

typedef struct {
    uint64_t instructions, cycles, memory_cycles, mispredicts, icache_misses, dcache_misses;
} counts;

/* What the library needs of Python and of Unicorn; the registers are Unicorn's numbers. */
typedef struct {
    void (*decode)(uint32_t address, uint32_t size); /* shall define and place the instructions of a block */
    int (*read_register)(void *engine, int reg, void *value);
    int (*write_register)(void *engine, int reg, const void *value);
    int32_t link_register, status_register;
} host;

/* One finished or running call of a watched function; `depth` counts the watched calls around it. */
typedef struct {
    uint32_t watch, depth, done, return_address;
    counts begin, end;
} record;

#endif
