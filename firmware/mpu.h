#ifndef MCU_MPU_H
#define MCU_MPU_H

/* Flash read-only, RAM not executable, no access to the first bytes (null pointers) and below the stack. */
void mcu_mpu_on(void);

#endif
