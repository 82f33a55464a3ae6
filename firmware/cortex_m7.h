/* Registers of the ARMv7-M core that this firmware uses; names as in the Architecture Reference Manual. */
#ifndef MCU_CORTEX_M7_H
#define MCU_CORTEX_M7_H

#include <stdint.h>

#define MCU_REG(address) (*(volatile uint32_t *)(uintptr_t)(address))

#define DWT_CTRL MCU_REG(0xE0001000u)
#define DWT_CYCCNT MCU_REG(0xE0001004u)
#define DWT_LAR MCU_REG(0xE0001FB0u)
#define SYST_CSR MCU_REG(0xE000E010u)
#define SYST_RVR MCU_REG(0xE000E014u)
#define SYST_CVR MCU_REG(0xE000E018u)
#define NVIC_ISER(n) MCU_REG(0xE000E100u + 4u * (n))
#define SCB_VTOR MCU_REG(0xE000ED08u)
#define SCB_AIRCR MCU_REG(0xE000ED0Cu)
#define SCB_CCR MCU_REG(0xE000ED14u)
#define SCB_SHCSR MCU_REG(0xE000ED24u)
#define SCB_CFSR MCU_REG(0xE000ED28u)
#define SCB_HFSR MCU_REG(0xE000ED2Cu)
#define SCB_MMFAR MCU_REG(0xE000ED34u)
#define SCB_BFAR MCU_REG(0xE000ED38u)
#define SCB_CCSIDR MCU_REG(0xE000ED80u)
#define SCB_CSSELR MCU_REG(0xE000ED84u)
#define SCB_CPACR MCU_REG(0xE000ED88u)
#define MPU_TYPE MCU_REG(0xE000ED90u)
#define MPU_CTRL MCU_REG(0xE000ED94u)
#define MPU_RNR MCU_REG(0xE000ED98u)
#define MPU_RBAR MCU_REG(0xE000ED9Cu)
#define MPU_RASR MCU_REG(0xE000EDA0u)
#define DCB_DEMCR MCU_REG(0xE000EDFCu)
#define SCB_ICIALLU MCU_REG(0xE000EF50u)
#define SCB_DCISW MCU_REG(0xE000EF60u)

#define SYST_CSR_ENABLE 1u
#define SYST_CSR_TICKINT 2u
#define SYST_CSR_CLKSOURCE 4u
#define SCB_AIRCR_RESET 0x05FA0004u
#define SCB_CCR_DIV_0_TRP (1u << 4)
#define SCB_CCR_DC (1u << 16)
#define SCB_CCR_IC (1u << 17)
#define SCB_SHCSR_FAULTS (7u << 16) /* MemManage, BusFault and UsageFault have their own handlers */
#define DCB_DEMCR_TRCENA (1u << 24)

static inline void cpu_barrier(void) { __asm__ volatile("dsb\n\tisb" ::: "memory"); }

static inline void cpu_irq_off(void) { __asm__ volatile("cpsid i" ::: "memory"); }

static inline void cpu_irq_on(void) { __asm__ volatile("cpsie i" ::: "memory"); }

static inline void cpu_sleep(void) { __asm__ volatile("dsb\n\twfi" ::: "memory"); }

/* Ends in a system reset; RAM keeps its contents. */
static inline _Noreturn void cpu_reset(void) {
    __asm__ volatile("dsb" ::: "memory");
    SCB_AIRCR = SCB_AIRCR_RESET;
    for (;;) {
        __asm__ volatile("dsb" ::: "memory");
    }
}

#endif
