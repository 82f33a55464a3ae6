/* The firmware: start the board, answer requests for ever. */
#include "app.h"
#include "board.h"
#include "cortex_m7.h"
#include "fault.h"
#include "serial.h"
#include "stack.h"

static mcu_status status;
static mcu_protocol protocol;
static uint32_t measure_start;
__attribute__((section(".buffers"), aligned(4))) static uint8_t frame[MCU_FRAME];

int main(void);

static void put(uint8_t byte) {
    if (!board_uart_put(byte)) {
        status.tx_timeouts++;
    }
}

static bool idle(void) {
    board_watchdog_feed();
    serial_sleep();
    return true;
}

/* The tick is off while an inference is timed; the time it missed is added afterwards. */
static void measure(bool on) {
    if (on) {
        mcu_stack_paint();
        SYST_CSR &= ~SYST_CSR_TICKINT;
        measure_start = board_cycles();
    } else {
        SYST_CSR |= SYST_CSR_TICKINT;
        serial_add_ms(board_cycles_between(measure_start, board_cycles()) / (status.clock_hz / 1000u));
    }
}

static void step(uint32_t index) {
    mcu_fault_step(index);
    board_watchdog_feed();
}

static const mcu_status *current_status(void) {
    status.uptime_ms = serial_uptime_ms();
    status.rx_lost = serial_lost();
    status.stack_used = mcu_stack_used();
    return &status;
}

static const mcu_port port = {
    .get = serial_get,
    .put = put,
    .idle = idle,
    .measure = measure,
    .step = step,
    .cycles = board_cycles,
    .cycles_between = board_cycles_between,
    .status = current_status,
};

int main(void) {
    board_init(&status);
    status.stack_bytes = (uint32_t)((uintptr_t)mcu_stack_top - (uintptr_t)mcu_stack_bottom);
    mcu_fault_boot(&status, board_ram_lost());
    mcu_protocol_init(&protocol, &port, mcu_app_model, mcu_app_banks, mcu_app_records, frame);
    cpu_irq_on();
    for (;;) {
        mcu_protocol_serve(&protocol);
        (void)idle();
    }
}
