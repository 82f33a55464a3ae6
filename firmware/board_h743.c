/* NUCLEO-H743ZI: USART3 on PD8/PD9, independent watchdog, DWT cycle counter. */
#include "board.h"
#include "clock_h743.h"
#include "mpu.h"
#include "registers_h743.h"
#include "serial.h"

#define TX_SPINS 1000000u
#define ACK_SPINS 10000u
#define WATCHDOG_PERIODS 1000u /* of 256 cycles at 32 kHz: 8 seconds */

static bool ram_lost;

/* After power-on the RAM must not be written before the supply is chosen (LDO) and its voltage is there. */
__attribute__((naked)) void board_power(void) {
    __asm__ volatile("ldr r0, =0x58024804\n\t" /* PWR_CSR1; PWR_CR3 is 8 further */
                     "ldr r1, [r0, #8]\n\t"
                     "bic r1, r1, #7\n\t"
                     "orr r1, r1, #2\n\t" /* LDOEN alone; ignored when already chosen since power-on */
                     "str r1, [r0, #8]\n\t"
                     "movw r2, #20000\n"
                     "1:\n\t"
                     "ldr r1, [r0]\n\t"
                     "lsls r1, r1, #18\n\t" /* ACTVOSRDY into the sign */
                     "bmi 2f\n\t"
                     "subs r2, r2, #1\n\t"
                     "bne 1b\n"
                     "2:\n\t"
                     "bx lr\n\t"
                     ".ltorg");
}

void board_memory(void) {
    RCC_AHB2ENR |= RCC_AHB2ENR_SRAMS;
    (void)RCC_AHB2ENR; /* the clock runs once the write has been read back */
    if (DBGMCU_IDC >> 16 < DBGMCU_IDC_REVISION_X) {
        AXI_TARG7_FN_MOD = AXI_READ_ISS_OVERRIDE; /* ES0392: reads of the AXI SRAM may be corrupted before revision X */
    }
    cpu_barrier();
}

static uint8_t reset_cause(void) {
    uint32_t flags = RCC_RSR;
    RCC_RSR |= RCC_RSR_RMVF;
    ram_lost = (flags & (RCC_RSR_PORRSTF | RCC_RSR_BORRSTF)) != 0;
    if (ram_lost) {
        return MCU_RESET_POWER;
    }
    if ((flags & (RCC_RSR_IWDG1RSTF | RCC_RSR_WWDG1RSTF)) != 0) {
        return MCU_RESET_WATCHDOG;
    }
    if ((flags & RCC_RSR_SFTRSTF) != 0) {
        return MCU_RESET_SOFTWARE;
    }
    if ((flags & RCC_RSR_LPWRRSTF) != 0) {
        return MCU_RESET_LOW_POWER;
    }
    return (flags & RCC_RSR_PINRSTF) != 0 ? MCU_RESET_PIN : MCU_RESET_UNKNOWN;
}

bool board_ram_lost(void) { return ram_lost; }

static void caches_on(void) {
    SCB_ICIALLU = 0;
    SCB_CSSELR = 0; /* the data cache */
    cpu_barrier();
    uint32_t shape = SCB_CCSIDR, sets = (shape >> 13) & 0x7FFFu, ways = (shape >> 3) & 0x3FFu;
    for (uint32_t set = 0; set <= sets; set++) {
        for (uint32_t way = 0; way <= ways; way++) {
            SCB_DCISW = set << 5 | way << 30;
        }
    }
    cpu_barrier();
    SCB_CCR |= SCB_CCR_IC | SCB_CCR_DC;
    cpu_barrier();
}

static void uart_on(uint32_t kernel_hz) {
    RCC_AHB4ENR |= RCC_AHB4ENR_GPIOD;
    RCC_APB1LENR |= RCC_APB1LENR_USART3;
    (void)RCC_APB1LENR;
    RCC_D2CCIP2R &= ~7u; /* USART3 runs from APB1 */
    GPIOD_AFRH = (GPIOD_AFRH & ~0xFFu) | 0x77u;
    GPIOD_PUPDR = (GPIOD_PUPDR & ~(0xFu << 16)) | 4u << 16; /* pull-up on RX: no break while unplugged */
    GPIOD_MODER = (GPIOD_MODER & ~(0xFu << 16)) | 0xAu << 16;
    USART3_CR1 = 0;
    USART3_BRR = (kernel_hz + MCU_UART_BAUD / 2u) / MCU_UART_BAUD;
    USART3_CR1 = USART_CR1_UE | USART_CR1_RE | USART_CR1_TE | USART_CR1_RXNEIE;
}

/* The result of a bounded wait for the UART's acknowledge, as a count of time-outs. */
static uint32_t uart_ready(void) {
    const uint32_t ready = USART_ISR_TEACK | USART_ISR_REACK;
    for (uint32_t spins = 0; spins < ACK_SPINS; spins++) {
        if ((USART3_ISR & ready) == ready) {
            return 0;
        }
    }
    return 1;
}

static void tick_on(uint32_t cpu_hz) {
    DCB_DEMCR |= DCB_DEMCR_TRCENA;
    DWT_LAR = 0xC5ACCE55u;
    DWT_CYCCNT = 0;
    DWT_CTRL |= 1u;
    SYST_RVR = cpu_hz / 1000u - 1u;
    SYST_CVR = 0;
    SYST_CSR = SYST_CSR_ENABLE | SYST_CSR_TICKINT | SYST_CSR_CLKSOURCE;
}

/* The new period is taken over within milliseconds; nothing waits for it. */
static void watchdog_on(void) {
    IWDG_KR = 0xCCCC;
    IWDG_KR = 0x5555;
    IWDG_PR = 6;
    IWDG_RLR = WATCHDOG_PERIODS;
    IWDG_KR = 0xAAAA;
}

void board_watchdog_feed(void) { IWDG_KR = 0xAAAA; }

void board_init(mcu_status *status) {
    SCB_SHCSR |= SCB_SHCSR_FAULTS;
    SCB_CCR |= SCB_CCR_DIV_0_TRP;
    status->board = MCU_BOARD_NAME;
    status->reset_cause = reset_cause();
    mcu_mpu_on();
    mcu_clocks clocks = mcu_clocks_on();
    caches_on();
    uart_on(clocks.uart_hz);
    tick_on(clocks.cpu_hz);
    watchdog_on();
    status->clock_hz = clocks.cpu_hz;
    status->clock_source = clocks.source;
    status->boot_timeouts = clocks.timeouts + uart_ready();
    NVIC_ISER(MCU_UART_IRQ / 32) = 1u << (MCU_UART_IRQ % 32);
}

void board_uart_poll(bool drop) {
    uint32_t state;
    while (((state = USART3_ISR) & USART_ISR_RXNE) != 0 && (drop || !serial_full())) {
        if (!serial_push((uint8_t)USART3_RDR)) {
            serial_count_lost();
        }
    }
    if ((state & USART_ISR_ERRORS) != 0) {
        USART3_ICR = USART_ISR_ERRORS;
        serial_count_lost();
    }
}

bool board_uart_put(uint8_t byte) {
    for (uint32_t spins = 0; (USART3_ISR & USART_ISR_TXE) == 0; spins++) {
        if (spins == TX_SPINS) {
            return false;
        }
    }
    USART3_TDR = byte;
    return true;
}

uint32_t board_cycles(void) { return DWT_CYCCNT; }

uint32_t board_cycles_between(uint32_t start, uint32_t end) { return end - start; }
