#include "stack.h"

#define PAINT 0xC5C5C5C5u
#define MARGIN 32 /* words below SP that this function itself may use */

__attribute__((noinline)) void mcu_stack_paint(void) {
    uint32_t *end;
    __asm__ volatile("mov %0, sp" : "=r"(end));
    for (volatile uint32_t *word = mcu_stack_bottom; word < end - MARGIN; word++) {
        *word = PAINT;
    }
}

uint32_t mcu_stack_used(void) {
    const volatile uint32_t *word = mcu_stack_bottom;
    while (word < mcu_stack_top && *word == PAINT) {
        word++;
    }
    return (uint32_t)((uintptr_t)mcu_stack_top - (uintptr_t)word);
}
