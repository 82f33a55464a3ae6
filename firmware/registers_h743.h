/* The registers of the STM32H743 that this firmware uses; names, addresses and bits from RM0433. */
#ifndef MCU_REGISTERS_H743_H
#define MCU_REGISTERS_H743_H

#include "cortex_m7.h"

#define FLASH_ACR MCU_REG(0x52002000u)
#define FLASH_ACR_2WS_210MHZ 0x22u /* LATENCY 2, WRHIGHFREQ 2: AXI clock of 185 to 210 MHz at VOS1 */

#define PWR_CSR1 MCU_REG(0x58024804u)
#define PWR_CSR1_ACTVOSRDY (1u << 13)
#define PWR_CR3 MCU_REG(0x5802480Cu)
#define PWR_D3CR MCU_REG(0x58024818u)
#define PWR_D3CR_VOS1 (3u << 14)
#define PWR_D3CR_VOSRDY (1u << 13)

#define RCC_CR MCU_REG(0x58024400u)
#define RCC_CR_HSION (1u << 0)
#define RCC_CR_HSIRDY (1u << 2)
#define RCC_CR_HSIDIV (3u << 3)
#define RCC_CR_HSEON (1u << 16)
#define RCC_CR_HSERDY (1u << 17)
#define RCC_CR_HSEBYP (1u << 18)
#define RCC_CR_PLL1ON (1u << 24)
#define RCC_CR_PLL1RDY (1u << 25)
#define RCC_CFGR MCU_REG(0x58024410u)
#define RCC_CFGR_SW 7u
#define RCC_CFGR_SW_PLL1 3u
#define RCC_D1CFGR MCU_REG(0x58024418u)
#define RCC_D2CFGR MCU_REG(0x5802441Cu)
#define RCC_D3CFGR MCU_REG(0x58024420u)
#define RCC_PLLCKSELR MCU_REG(0x58024428u)
#define RCC_PLLCFGR MCU_REG(0x5802442Cu)
#define RCC_PLL1DIVR MCU_REG(0x58024430u)
#define RCC_D2CCIP2R MCU_REG(0x58024454u)
#define RCC_RSR MCU_REG(0x580244D0u)
#define RCC_RSR_RMVF (1u << 16)
#define RCC_RSR_BORRSTF (1u << 21)
#define RCC_RSR_PINRSTF (1u << 22)
#define RCC_RSR_PORRSTF (1u << 23)
#define RCC_RSR_SFTRSTF (1u << 24)
#define RCC_RSR_IWDG1RSTF (1u << 26)
#define RCC_RSR_WWDG1RSTF (1u << 28)
#define RCC_RSR_LPWRRSTF (1u << 30)
#define RCC_AHB2ENR MCU_REG(0x580244DCu)
#define RCC_AHB2ENR_SRAMS (7u << 29) /* SRAM1, SRAM2, SRAM3 */
#define RCC_AHB4ENR MCU_REG(0x580244E0u)
#define RCC_AHB4ENR_GPIOD (1u << 3)
#define RCC_APB1LENR MCU_REG(0x580244E8u)
#define RCC_APB1LENR_USART3 (1u << 18)

#define GPIOD_MODER MCU_REG(0x58020C00u)
#define GPIOD_PUPDR MCU_REG(0x58020C0Cu)
#define GPIOD_AFRH MCU_REG(0x58020C24u)

#define USART3_CR1 MCU_REG(0x40004800u)
#define USART_CR1_UE (1u << 0)
#define USART_CR1_RE (1u << 2)
#define USART_CR1_TE (1u << 3)
#define USART_CR1_RXNEIE (1u << 5)
#define USART3_BRR MCU_REG(0x4000480Cu)
#define USART3_ISR MCU_REG(0x4000481Cu)
#define USART_ISR_ERRORS 0xFu /* PE, FE, NE, ORE; the same bits clear them in ICR */
#define USART_ISR_RXNE (1u << 5)
#define USART_ISR_TXE (1u << 7)
#define USART_ISR_TEACK (1u << 21)
#define USART_ISR_REACK (1u << 22)
#define USART3_ICR MCU_REG(0x40004820u)
#define USART3_RDR MCU_REG(0x40004824u)
#define USART3_TDR MCU_REG(0x40004828u)

#define DBGMCU_IDC MCU_REG(0x5C001000u)
#define DBGMCU_IDC_REVISION_X 0x2001u /* the revisions before it, Y among them, are numbered lower */
#define AXI_TARG7_FN_MOD MCU_REG(0x51008108u)
#define AXI_READ_ISS_OVERRIDE 1u

#define IWDG_KR MCU_REG(0x58004800u)
#define IWDG_PR MCU_REG(0x58004804u)
#define IWDG_RLR MCU_REG(0x58004808u)

#endif
