/* The stack is painted and the paint looked for, to learn how deep it went. */
#ifndef MCU_STACK_H
#define MCU_STACK_H

#include <stdint.h>

extern uint32_t mcu_stack_bottom[], mcu_stack_top[];

/* Paints what lies below the caller's frame. */
void mcu_stack_paint(void);

/* Bytes between the top and the deepest word that lost its paint. */
uint32_t mcu_stack_used(void);

#endif
