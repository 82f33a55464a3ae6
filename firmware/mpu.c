#include "mpu.h"

#include "cortex_m7.h"
#include "stack.h"

extern const uint32_t mcu_code_start[], mcu_code_region_bytes[]; /* the flash: a power of two, aligned to it */

#define NO_ACCESS (0u << 24)
#define FULL_ACCESS (3u << 24)
#define READ_ONLY (6u << 24)
#define NO_EXECUTE (1u << 28)
#define CACHED ((1u << 19) | (3u << 16)) /* normal memory, write-back, write-allocate */

/* `bytes`: a power of two from 32, 0 for all 4 GiB; `start`: a multiple. Higher `index` wins where regions overlap. */
static void region(uint32_t index, uint32_t start, uint32_t bytes, uint32_t attributes) {
    uint32_t log2_bytes = bytes == 0 ? 32u : 31u - (uint32_t)__builtin_clz(bytes);
    MPU_RNR = index;
    MPU_RBAR = start;
    MPU_RASR = attributes | (log2_bytes - 1u) << 1 | 1u;
}

void mcu_mpu_on(void) {
    uint32_t code_bytes = (uint32_t)(uintptr_t)mcu_code_region_bytes;
    uint32_t below_stack = ((uint32_t)(uintptr_t)mcu_stack_bottom - 1u) & ~0xFFFFu;
    cpu_barrier();
    MPU_CTRL = 0;
    /* 0x60000000 to 0xDFFFFFFF: no speculative reads of external memories that are not there (sub-regions 0,1,2,7 off) */
    region(0, 0, 0, NO_ACCESS | NO_EXECUTE | 0x87u << 8);
    region(1, (uint32_t)(uintptr_t)mcu_code_start, code_bytes, READ_ONLY | CACHED);
    region(2, 0x20000000u, 0x20000000u, FULL_ACCESS | NO_EXECUTE | CACHED);
    region(3, below_stack, 0x10000u, NO_ACCESS | NO_EXECUTE);
    region(4, 0, MCU_NULL_BYTES, NO_ACCESS | NO_EXECUTE);
    MPU_CTRL = 5; /* on, with the default map for what no region covers */
    cpu_barrier();
}
