/* The device's state as HELLO reports it; no hardware includes. */
#ifndef MCU_STATUS_H
#define MCU_STATUS_H

#include <stdint.h>

#define MCU_RESET_UNKNOWN 0u
#define MCU_RESET_POWER 1u
#define MCU_RESET_PIN 2u
#define MCU_RESET_SOFTWARE 3u /* after a fault, or by a debugger */
#define MCU_RESET_WATCHDOG 4u
#define MCU_RESET_LOW_POWER 5u

#define MCU_CLOCK_FIXED 0u       /* the board has one clock */
#define MCU_CLOCK_HSE_PLL 1u     /* as designed */
#define MCU_CLOCK_HSI_PLL 2u     /* no external clock: full speed, 1 % */
#define MCU_CLOCK_HSI 3u         /* no PLL: 64 MHz */

#define MCU_FAULT_NONE 0u
#define MCU_FAULT_WATCHDOG 255u  /* other values: the exception number, 2 (NMI) to 6 (UsageFault) or 16 + IRQ */
#define MCU_NO_STEP 0xFFFFFFFFu

/* The last fault; kept over resets until power is lost. */
typedef struct mcu_fault {
    uint32_t kind; /* MCU_FAULT_NONE: there was none */
    uint32_t boot; /* the boot it happened in, counted from power-on */
    uint32_t step; /* the model's step that ran, MCU_NO_STEP outside an inference */
    uint32_t pc, lr, psr, sp, cfsr, hfsr, address;
} mcu_fault;

typedef struct mcu_status {
    uint32_t clock_hz; /* of the cycle counter; 0: there is none */
    uint32_t uptime_ms;
    uint32_t boots;         /* since power-on, from 1 */
    uint32_t boot_timeouts; /* waits during start-up that ran out */
    uint32_t rx_lost;       /* bytes lost to a full ring or overrun, and line errors */
    uint32_t tx_timeouts;
    uint32_t stack_bytes; /* size of the stack */
    uint32_t stack_used;  /* most bytes used since boot or since the last inference began */
    uint8_t reset_cause;  /* MCU_RESET_* */
    uint8_t clock_source; /* MCU_CLOCK_* */
    const char *board;
    mcu_fault fault;
} mcu_status;

#endif
