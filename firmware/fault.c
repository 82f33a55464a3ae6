#include "fault.h"

#include "cortex_m7.h"
#include "stack.h"

#define MAGIC 0x4D435546u

typedef struct mcu_kept {
    uint32_t magic;
    uint32_t boots;
    uint32_t step;
    mcu_fault fault;
} mcu_kept;

__attribute__((section(".noinit"))) static volatile mcu_kept kept;

static uint32_t in_ram(uint32_t address) {
    return address >= (uint32_t)(uintptr_t)mcu_stack_bottom && address <= (uint32_t)(uintptr_t)mcu_stack_top - 32u;
}

_Noreturn void mcu_fault_record(const uint32_t *frame, uint32_t exception);

/* `frame`: what the core pushed (r0-r3, r12, lr, pc, psr); meaningless when the stack had overflowed. */
__attribute__((used)) _Noreturn void mcu_fault_record(const uint32_t *frame, uint32_t exception) {
    uint32_t sp = (uint32_t)(uintptr_t)frame;
    uint32_t cfsr = SCB_CFSR;
    uint32_t stacked = in_ram(sp) && (cfsr & 0x1818u) == 0; /* no MSTKERR, STKERR */
    kept.fault.kind = exception;
    kept.fault.boot = kept.boots;
    kept.fault.step = kept.step;
    kept.fault.lr = stacked ? frame[5] : 0;
    kept.fault.pc = stacked ? frame[6] : 0;
    kept.fault.psr = stacked ? frame[7] : 0;
    kept.fault.sp = sp;
    kept.fault.cfsr = cfsr;
    kept.fault.hfsr = SCB_HFSR;
    kept.fault.address = (cfsr & 0x80u) != 0 ? SCB_MMFAR : (cfsr & 0x8000u) != 0 ? SCB_BFAR : 0;
    kept.step = MCU_NO_STEP;
    cpu_reset();
}

/* The stack may be what broke: start a fresh one, nothing is returned to. */
__attribute__((naked)) void mcu_fault_handler(void) {
    __asm__ volatile("cpsid i\n\t"
                     "mrs r0, msp\n\t"
                     "mrs r1, ipsr\n\t"
                     "ldr r2, =mcu_stack_top\n\t"
                     "mov sp, r2\n\t"
                     "b mcu_fault_record\n\t"
                     ".ltorg");
}

void mcu_fault_boot(mcu_status *status, bool ram_lost) {
    if (ram_lost || kept.magic != MAGIC) {
        kept = (mcu_kept){.magic = MAGIC, .step = MCU_NO_STEP};
    }
    if (status->reset_cause == MCU_RESET_WATCHDOG) {
        kept.fault = (mcu_fault){.kind = MCU_FAULT_WATCHDOG, .boot = kept.boots, .step = kept.step};
    }
    kept.boots = kept.boots + 1;
    kept.step = MCU_NO_STEP;
    status->boots = kept.boots;
    status->fault = kept.fault;
}

void mcu_fault_step(uint32_t step) { kept.step = step; }
