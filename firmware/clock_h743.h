/* Clock tree of the STM32H743. */
#ifndef MCU_CLOCK_H743_H
#define MCU_CLOCK_H743_H

#include <stdint.h>

typedef struct mcu_clocks {
    uint32_t cpu_hz;
    uint32_t uart_hz; /* APB1, the kernel clock of USART3 */
    uint8_t source;   /* MCU_CLOCK_* */
    uint32_t timeouts;
} mcu_clocks;

/* 400 MHz from the PLL: fed by the ST-LINK's 8 MHz or, failing that, by the HSI; without a PLL the HSI's 64 MHz. */
mcu_clocks mcu_clocks_on(void);

#endif
