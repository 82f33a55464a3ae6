#include "clock_h743.h"

#include "registers_h743.h"
#include "status.h"

#define HSI_HZ 64000000u
#define CPU_HZ 400000000u
#define SPINS 200000u /* several milliseconds at 64 MHz; the HSE starts within two */

static uint32_t timeouts;

/* True once (reg & mask) == value; false, and counted, when that takes too long. */
static int wait_for(volatile uint32_t *reg, uint32_t mask, uint32_t value) {
    for (uint32_t spins = 0; spins < SPINS; spins++) {
        if ((*reg & mask) == value) {
            return 1;
        }
    }
    timeouts++;
    return 0;
}

/* 8 MHz in (source / divider), 800 MHz VCO, 400 MHz P, 200 MHz Q and R. */
static int pll_on(uint32_t source, uint32_t divider) {
    RCC_CR &= ~RCC_CR_PLL1ON;
    (void)wait_for(&RCC_CR, RCC_CR_PLL1RDY, 0);
    RCC_PLLCKSELR = (RCC_PLLCKSELR & ~0x3F3u) | divider << 4 | source;
    RCC_PLLCFGR = (RCC_PLLCFGR & ~0xFu) | 3u << 2 | 7u << 16; /* input of 8 to 16 MHz, wide VCO; P, Q, R on */
    RCC_PLL1DIVR = (100u - 1u) | (2u - 1u) << 9 | (4u - 1u) << 16 | (4u - 1u) << 24;
    RCC_CR |= RCC_CR_PLL1ON;
    return wait_for(&RCC_CR, RCC_CR_PLL1RDY, RCC_CR_PLL1RDY);
}

static uint8_t start_pll(void) {
    RCC_CR |= RCC_CR_HSEBYP;
    RCC_CR |= RCC_CR_HSEON;
    if (wait_for(&RCC_CR, RCC_CR_HSERDY, RCC_CR_HSERDY) && pll_on(2, 1)) {
        return MCU_CLOCK_HSE_PLL;
    }
    RCC_CR &= ~RCC_CR_HSEON;
    return pll_on(0, 8) ? MCU_CLOCK_HSI_PLL : MCU_CLOCK_HSI;
}

mcu_clocks mcu_clocks_on(void) {
    mcu_clocks clocks = {.cpu_hz = HSI_HZ, .uart_hz = HSI_HZ, .source = MCU_CLOCK_HSI};
    timeouts = 0;
    RCC_CR = (RCC_CR | RCC_CR_HSION) & ~RCC_CR_HSIDIV;
    (void)wait_for(&RCC_CR, RCC_CR_HSIRDY, RCC_CR_HSIRDY);
    RCC_CFGR &= ~RCC_CFGR_SW; /* a debugger may have left the PLL running */
    (void)wait_for(&RCC_CFGR, RCC_CFGR_SW << 3, 0);

    (void)wait_for(&PWR_CSR1, PWR_CSR1_ACTVOSRDY, PWR_CSR1_ACTVOSRDY);
    PWR_D3CR = PWR_D3CR | PWR_D3CR_VOS1;
    int full_voltage = wait_for(&PWR_D3CR, PWR_D3CR_VOSRDY, PWR_D3CR_VOSRDY);
    clocks.source = full_voltage ? start_pll() : MCU_CLOCK_HSI;
    if (clocks.source != MCU_CLOCK_HSI) {
        FLASH_ACR = FLASH_ACR_2WS_210MHZ;
        (void)wait_for(&FLASH_ACR, 0x3Fu, FLASH_ACR_2WS_210MHZ);
        RCC_D1CFGR = 4u << 4 | 8u; /* AXI and AHB 200 MHz, APB3 100 MHz */
        RCC_D2CFGR = 4u << 8 | 4u << 4;
        RCC_D3CFGR = 4u << 4;
        RCC_CFGR = (RCC_CFGR & ~RCC_CFGR_SW) | RCC_CFGR_SW_PLL1;
        if (wait_for(&RCC_CFGR, RCC_CFGR_SW << 3, RCC_CFGR_SW_PLL1 << 3)) {
            clocks.cpu_hz = CPU_HZ;
            clocks.uart_hz = CPU_HZ / 4u;
        } else {
            RCC_D1CFGR = RCC_D2CFGR = RCC_D3CFGR = 0;
            clocks.source = MCU_CLOCK_HSI;
        }
    }
    clocks.timeouts = timeouts;
    return clocks;
}
