/* What templates/app.c.j2 renders for one model on one board. */
#ifndef MCU_APP_H
#define MCU_APP_H

#include "mcu_model.h"
#include "protocol.h"

extern const mcu_model *const mcu_app_model;
extern uint8_t *const mcu_app_banks[];        /* mcu_app_model->n_banks */
extern mcu_step_record mcu_app_records[];     /* mcu_app_model->n_steps */

#endif
