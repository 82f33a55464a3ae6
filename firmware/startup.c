/* Vector table and the way from reset to main: power, memories, copies, zeros, FPU. */
#include "board.h"
#include "cortex_m7.h"
#include "fault.h"
#include "serial.h"
#include "stack.h"

/* From the linker script; tables end where the next begins. */
typedef struct mcu_copy {
    const uint32_t *from;
    uint32_t *to;
    uint32_t bytes;
} mcu_copy;
typedef struct mcu_zero {
    uint32_t *start;
    uint32_t bytes;
} mcu_zero;
extern const mcu_copy mcu_copy_table[], mcu_copy_table_end[];
extern const mcu_zero mcu_zero_table[], mcu_zero_table_end[];

int main(void);
void mcu_reset(void);
_Noreturn void mcu_start(void);

#define VECTORS (16 + MCU_UART_IRQS)

typedef union mcu_vector {
    uint32_t *stack;
    void (*handler)(void);
} mcu_vector;

__attribute__((section(".vectors"), used)) static const mcu_vector vectors[VECTORS] = {
    [0] = {.stack = mcu_stack_top},
    [1] = {.handler = mcu_reset},
    [2 ... 14] = {.handler = mcu_fault_handler},
    [15] = {.handler = mcu_tick_handler},
#if MCU_UART_IRQ > 0
    [16 ... 15 + MCU_UART_IRQ] = {.handler = mcu_fault_handler},
#endif
    [16 + MCU_UART_IRQ] = {.handler = mcu_uart_handler},
    [17 + MCU_UART_IRQ ... VECTORS - 1] = {.handler = mcu_fault_handler},
};

/* RAM must not be written before board_power; so no compiled prologue. */
__attribute__((naked, used)) void mcu_reset(void) {
    __asm__ volatile("cpsid i\n\t"
                     "ldr r0, =mcu_stack_top\n\t"
                     "mov sp, r0\n\t"
                     "bl board_power\n\t"
                     "b mcu_start\n\t"
                     ".ltorg");
}

__attribute__((used)) _Noreturn void mcu_start(void) {
    board_memory();
    SCB_VTOR = (uint32_t)(uintptr_t)vectors;
    SCB_CPACR |= 0xFu << 20; /* FPU on */
    cpu_barrier();
    mcu_stack_paint();
    for (const mcu_copy *copy = mcu_copy_table; copy < mcu_copy_table_end; copy++) {
        for (uint32_t i = 0; i < copy->bytes / 4; i++) {
            copy->to[i] = copy->from[i];
        }
    }
    /* Whole words: the RAMs' error correction is undefined until a word has been written. */
    for (const mcu_zero *zero = mcu_zero_table; zero < mcu_zero_table_end; zero++) {
        for (uint32_t i = 0; i < zero->bytes / 4; i++) {
            zero->start[i] = 0;
        }
    }
    cpu_barrier();
    (void)main();
    cpu_reset();
}
