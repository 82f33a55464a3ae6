/* What main.c needs from a board; board_h743.c and board_an500.c implement it. All calls are from one thread. */
#ifndef MCU_BOARD_H
#define MCU_BOARD_H

#include <stdbool.h>
#include <stdint.h>

#include "status.h"

/* First code after reset, before RAM may be written: naked assembler, uses r0 to r3 only. */
void board_power(void);

/* Second: makes every RAM of the linker script accessible. Must not read or write variables. */
void board_memory(void);

/* Clocks, caches, MPU, UART, 1 kHz tick, watchdog. Fills in clock_hz, reset_cause, clock_source and boot_timeouts. */
void board_init(mcu_status *status);

/* Moves what the UART has received into the ring of serial.h. `drop`: read on when the ring is full. */
void board_uart_poll(bool drop);

/* Sends one byte; false when the transmitter did not get ready in time. */
bool board_uart_put(uint8_t byte);

/* A counter that runs at status.clock_hz and wraps at 2^32, constant where the board has none; and what it ran from one
 * value to a later one. Both boards read it in equally many instructions, so that their counts can be compared. */
uint32_t board_cycles(void);
uint32_t board_cycles_between(uint32_t start, uint32_t end);

/* The watchdog resets the chip when this is not called for 8 seconds. */
void board_watchdog_feed(void);

/* True after a reset that may have lost the RAM's contents. */
bool board_ram_lost(void);

#endif
