/* Received bytes wait in a ring: filled by the UART's interrupt and, should interrupts not come, by polling. */
#ifndef MCU_SERIAL_H
#define MCU_SERIAL_H

#include <stdbool.h>
#include <stdint.h>

/* Puts one byte into the ring; false when it is full. Called with interrupts off or from the interrupt. */
bool serial_push(uint8_t byte);

bool serial_full(void);

/* Next received byte, -1 if there is none. */
int serial_get(void);

/* Sleeps until an interrupt if no byte is waiting. */
void serial_sleep(void);

/* Bytes lost since boot. */
uint32_t serial_lost(void);
void serial_count_lost(void);

uint32_t serial_uptime_ms(void);
void serial_add_ms(uint32_t milliseconds);

/* For the vector table. */
void mcu_uart_handler(void);
void mcu_tick_handler(void);

#endif
