/* Faults are recorded in RAM that resets leave alone, then the chip is reset; HELLO tells of it. */
#ifndef MCU_FAULT_H
#define MCU_FAULT_H

#include <stdbool.h>
#include <stdint.h>

#include "status.h"

/* For the vector table: every exception that has no handler of its own. */
void mcu_fault_handler(void);

/* At boot: counts the boot and copies the last fault into `status`. `ram_lost`: forget what the RAM holds. */
void mcu_fault_boot(mcu_status *status, bool ram_lost);

/* The step that runs now, for the record; MCU_NO_STEP outside an inference. */
void mcu_fault_step(uint32_t step);

#endif
