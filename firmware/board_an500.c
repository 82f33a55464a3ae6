/* Arm MPS2 with image AN500, as QEMU models it: CMSDK UART0, CMSDK TIMER0 at 25 MHz as the counter. */
#include "board.h"
#include "cortex_m7.h"
#include "mpu.h"
#include "serial.h"

#define UART0_DATA MCU_REG(0x40004000u)
#define UART0_STATE MCU_REG(0x40004004u) /* 1: transmit buffer full, 2: receive buffer full, 8: receive overrun */
#define UART0_CTRL MCU_REG(0x40004008u)
#define UART0_INTCLEAR MCU_REG(0x4000400Cu)
#define UART0_BAUDDIV MCU_REG(0x40004010u)
#define TIMER0_CTRL MCU_REG(0x40000000u)
#define TIMER0_VALUE MCU_REG(0x40000004u)
#define TIMER0_RELOAD MCU_REG(0x40000008u)

#define CLOCK_HZ 25000000u
#define TX_SPINS 10000000u

__attribute__((naked)) void board_power(void) { __asm__ volatile("bx lr"); }

void board_memory(void) {}

bool board_ram_lost(void) { return false; }

void board_init(mcu_status *status) {
    SCB_SHCSR |= SCB_SHCSR_FAULTS;
    SCB_CCR |= SCB_CCR_DIV_0_TRP;
    mcu_mpu_on();
    TIMER0_RELOAD = 0xFFFFFFFFu;
    TIMER0_VALUE = 0xFFFFFFFFu;
    TIMER0_CTRL = 1;
    UART0_BAUDDIV = CLOCK_HZ / 921600u;
    UART0_CTRL = 1u | 2u | 8u; /* transmit, receive, receive interrupt */
    NVIC_ISER(0) = 1u << MCU_UART_IRQ;
    SYST_RVR = CLOCK_HZ / 1000u - 1u;
    SYST_CVR = 0;
    SYST_CSR = SYST_CSR_ENABLE | SYST_CSR_TICKINT | SYST_CSR_CLKSOURCE;
    status->board = MCU_BOARD_NAME;
    status->clock_hz = CLOCK_HZ;
    status->clock_source = MCU_CLOCK_FIXED;
    status->reset_cause = MCU_RESET_UNKNOWN;
}

void board_uart_poll(bool drop) {
    UART0_INTCLEAR = 2;
    while ((UART0_STATE & 2u) != 0 && (drop || !serial_full())) {
        if (!serial_push((uint8_t)UART0_DATA)) {
            serial_count_lost();
        }
    }
    if ((UART0_STATE & 8u) != 0) {
        UART0_STATE = 8;
        serial_count_lost();
    }
}

bool board_uart_put(uint8_t byte) {
    for (uint32_t spins = 0; (UART0_STATE & 1u) != 0; spins++) {
        if (spins == TX_SPINS) {
            return false;
        }
    }
    UART0_DATA = byte;
    return true;
}

uint32_t board_cycles(void) { return TIMER0_VALUE; }

uint32_t board_cycles_between(uint32_t start, uint32_t end) { return start - end; } /* the timer counts down */

void board_watchdog_feed(void) {}
