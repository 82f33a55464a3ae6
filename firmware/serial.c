#include "serial.h"

#include "board.h"
#include "cortex_m7.h"

#define RING 2048u /* a power of two, larger than a frame */

__attribute__((section(".buffers"))) static volatile uint8_t ring[RING];
static volatile uint32_t head, tail; /* written, read: count up for ever, index modulo RING */
static volatile uint32_t lost, milliseconds_up;

bool serial_full(void) { return head - tail == RING; }

bool serial_push(uint8_t byte) {
    if (serial_full()) {
        return false;
    }
    ring[head % RING] = byte;
    head = head + 1;
    return true;
}

int serial_get(void) {
    if (head == tail) {
        cpu_irq_off();
        board_uart_poll(false);
        cpu_irq_on();
        if (head == tail) {
            return -1;
        }
    }
    uint8_t byte = ring[tail % RING];
    tail = tail + 1;
    return byte;
}

void serial_sleep(void) {
    cpu_irq_off();
    board_uart_poll(false);
    if (head == tail) {
        cpu_sleep(); /* a pending interrupt ends the sleep and is taken below */
    }
    cpu_irq_on();
}

uint32_t serial_lost(void) { return lost; }

void serial_count_lost(void) { lost = lost + 1; }

uint32_t serial_uptime_ms(void) { return milliseconds_up; }

void serial_add_ms(uint32_t milliseconds) {
    cpu_irq_off();
    milliseconds_up = milliseconds_up + milliseconds;
    cpu_irq_on();
}

void mcu_uart_handler(void) { board_uart_poll(true); }

void mcu_tick_handler(void) { milliseconds_up = milliseconds_up + 1; }
