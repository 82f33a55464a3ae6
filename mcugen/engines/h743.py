"""The peripherals of a small STM32H743, as far as the firmware uses them: registers and what they do, no CPU.

Registers without a rule below keep what was written. Addresses and bits from RM0433 and the ARMv7-M manual.
"""

from __future__ import annotations

from collections.abc import Callable

from mcugen.engines.wire import Wire
from mcugen.errors import McugenError
from mcugen.ir import Board

HSI_HZ, HSE_HZ, LSI_HZ = 64_000_000, 8_000_000, 32_000
_BAUD_TOLERANCE = 0.025

FLASH_ACR = 0x52002000
PWR_CSR1, PWR_CR3, PWR_D3CR = 0x58024804, 0x5802480C, 0x58024818
RCC_CR, RCC_CFGR, RCC_D1CFGR, RCC_D2CFGR = 0x58024400, 0x58024410, 0x58024418, 0x5802441C
RCC_PLLCKSELR, RCC_PLL1DIVR, RCC_RSR = 0x58024428, 0x58024430, 0x580244D0
RCC_AHB2ENR, RCC_AHB4ENR, RCC_APB1LENR = 0x580244DC, 0x580244E0, 0x580244E8
GPIOD_MODER, GPIOD_AFRH = 0x58020C00, 0x58020C24
USART3 = 0x40004800
CR1, BRR, ISR, ICR, RDR, TDR = USART3, USART3 + 0x0C, USART3 + 0x1C, USART3 + 0x20, USART3 + 0x24, USART3 + 0x28
IWDG_KR, IWDG_PR, IWDG_RLR = 0x58004800, 0x58004804, 0x58004808
DWT_CTRL, DWT_CYCCNT = 0xE0001000, 0xE0001004
SYST_CSR, SYST_RVR, SYST_CVR = 0xE000E010, 0xE000E014, 0xE000E018
NVIC_ISER = 0xE000E100
SCB_VTOR, SCB_AIRCR, SCB_CFSR, SCB_HFSR = 0xE000ED08, 0xE000ED0C, 0xE000ED28, 0xE000ED2C
SCB_MMFAR, SCB_BFAR, SCB_CCSIDR, SCB_CPACR = 0xE000ED34, 0xE000ED38, 0xE000ED80, 0xE000ED88
MPU_TYPE = 0xE000ED90
DBGMCU_IDC = 0x5C001000

RESET_POWER, RESET_SOFTWARE, RESET_WATCHDOG = 0x00E20000, 0x01020000, 0x04020000
"""Values of RCC_RSR after each kind of reset."""

# Each kilobyte holds one peripheral: USART3, FLASH, GPIOD, RCC, PWR, IWDG1, DBGMCU; the core's own need no list.
_BLOCKS = (USART3, FLASH_ACR, 0x58020C00, 0x58024400, 0x58024800, IWDG_KR, DBGMCU_IDC)
PAGES = (0x40004000, 0x52002000, 0x58004000, 0x58020000, 0x58024000, 0x5C001000, 0xE0001000, 0xE000E000)
"""Starts of the 4 KiB pages that hold them."""

_AFTER_RESET = {
    RCC_CR: 0x00000001,
    RCC_PLLCKSELR: 0x02020200,
    RCC_PLL1DIVR: 0x01010280,
    FLASH_ACR: 0x00000037,
    PWR_CR3: 0x00000006,
    PWR_D3CR: 0x00004000,
    GPIOD_MODER: 0xFFFFFFFF,
    IWDG_RLR: 0x00000FFF,
    SCB_CCSIDR: 127 << 13 | 3 << 3 | 1,
    MPU_TYPE: 16 << 8,
    DBGMCU_IDC: 0x20036450,  # revision V
}
_READY = ((0, 2), (7, 8), (12, 13), (16, 17), (24, 25), (26, 27), (28, 29))  # RCC_CR: ON bit, RDY bit


class Peripherals:
    """Register values and their effects.

    Args:
        wire: what comes and goes at USART3.
        now: instructions executed so far; one instruction counts as one cycle.
        on_reset: called when the firmware asks for a system reset.
        on_memory: called when the clocks of SRAM1 to SRAM3 are switched on.
    """

    def __init__(
        self,
        board: Board,
        wire: Wire,
        now: Callable[[], int],
        on_reset: Callable[[], None],
        on_memory: Callable[[], None],
    ) -> None:
        self._board, self._wire, self._now, self._on_reset, self._on_memory = board, wire, now, on_reset, on_memory
        self.watchdog_scale = 1.0
        self._reads: dict[int, Callable[[], int]] = {
            ISR: self._uart_state,
            RDR: wire.pop,
            DWT_CYCCNT: lambda: (self._now() - self._cycles_from) & 0xFFFFFFFF if self.registers.get(DWT_CTRL, 0) & 1 else 0,
            RCC_CR: self._clock_state,
            RCC_CFGR: lambda: self._value(RCC_CFGR) & ~0x38 | (self._value(RCC_CFGR) & 7) << 3,
            PWR_CSR1: lambda: 1 << 13,
            PWR_D3CR: lambda: self._value(PWR_D3CR) | 1 << 13,
            SYST_CVR: lambda: max(self.tick_deadline() - self._now(), 0) & 0xFFFFFF if self._value(SYST_CSR) & 1 else 0,
        }
        self._writes: dict[int, Callable[[int], None]] = {
            TDR: self._send,
            ICR: lambda value: None,
            IWDG_KR: self._watchdog_key,
            DWT_CYCCNT: self._set_cycles,
            RCC_RSR: self._clear_reset_flags,
            RCC_AHB2ENR: self._enable_memories,
            SYST_CVR: lambda value: self._restart_tick(),
            SYST_CSR: self._tick_control,
            SCB_AIRCR: lambda value: self._on_reset() if value == 0x05FA0004 else None,
            SCB_CFSR: lambda value: self.registers.__setitem__(SCB_CFSR, self._value(SCB_CFSR) & ~value),
        }
        self.reset(RESET_POWER)

    def reset(self, cause: int) -> None:
        """Registers as after a reset; `cause` is one of RESET_*. Bytes on the wire stay."""
        self.registers = dict(_AFTER_RESET)
        self.registers[RCC_RSR] = cause
        self._cycles_from = self._tick_from = self._fed_at = self._now()
        self._watching = self._wire.open = False

    def read(self, address: int) -> int:
        rule = self._reads.get(address)
        return rule() if rule else self._plain(address)

    def write(self, address: int, value: int) -> None:
        rule = self._writes.get(address)
        if rule:
            rule(value)
        elif NVIC_ISER <= address < NVIC_ISER + 32:
            self.registers[address] = self._value(address) | value
        else:
            self._plain(address)
            self.registers[address] = value

    def _value(self, address: int) -> int:
        return self.registers.get(address, 0)

    def _plain(self, address: int) -> int:
        if address < 0xE0000000 and address & ~0x3FF not in _BLOCKS:
            raise McugenError("unicorn", f"there is no model of the peripheral at {address:#010x}", "use another engine")
        return self._value(address)

    # Interrupts and deadlines

    def pending(self) -> int | None:
        """Exception number of an enabled interrupt that waits: SysTick 15, USART3 16 + its number."""
        if self._value(SYST_CSR) & 3 == 3 and self._now() >= self.tick_deadline():
            return 15
        irq = int(self._board.uart["irq"])
        enabled = self._value(NVIC_ISER + irq // 32 * 4) >> irq % 32 & 1
        return 16 + irq if enabled and self._wire.waiting and self._value(CR1) & 1 << 5 else None

    def acknowledge(self, exception: int) -> None:
        """The CPU takes this interrupt."""
        if exception == 15:
            self._restart_tick()

    def tick_deadline(self) -> int:
        """When SysTick interrupts next, in instructions; far away while it may not."""
        if self._value(SYST_CSR) & 3 != 3:
            return 1 << 62
        return self._tick_from + self._value(SYST_RVR) + 1

    def watchdog_deadline(self) -> int:
        """When the watchdog bites, in instructions."""
        if not self._watching:
            return 1 << 62
        periods = (self._value(IWDG_RLR) + 1) * (4 << self._value(IWDG_PR))
        return self._fed_at + int(periods * self.cpu_hz() / LSI_HZ * self.watchdog_scale)

    def _restart_tick(self) -> None:
        self._tick_from = self._now()

    def _tick_control(self, value: int) -> None:
        if not self._value(SYST_CSR) & 1:
            self._restart_tick()
        self.registers[SYST_CSR] = value

    def _set_cycles(self, value: int) -> None:
        self._cycles_from = self._now() - value

    def _watchdog_key(self, value: int) -> None:
        self._watching = self._watching or value == 0xCCCC
        if value in (0xAAAA, 0xCCCC):
            self._fed_at = self._now()

    # Clocks

    def cpu_hz(self) -> int:
        """The clock that the registers select."""
        if self._value(RCC_CFGR) & 7 != 3:
            return HSI_HZ
        select, dividers = self._value(RCC_PLLCKSELR), self._value(RCC_PLL1DIVR)
        source = {0: HSI_HZ, 2: HSE_HZ}.get(select & 3, 0)
        vco = source // (select >> 4 & 63 or 1) * ((dividers & 0x1FF) + 1)
        return vco // ((dividers >> 9 & 0x7F) + 1)

    def _clock_state(self) -> int:
        value = self._value(RCC_CR)
        for on, ready in _READY:
            value = value & ~(1 << ready) | (value >> on & 1) << ready
        return value

    def _clear_reset_flags(self, value: int) -> None:
        if value & 1 << 16:
            self.registers[RCC_RSR] = 0

    def _enable_memories(self, value: int) -> None:
        self.registers[RCC_AHB2ENR] = value
        if value >> 29 == 7:
            self._on_memory()

    # USART3

    def _uart_state(self) -> int:
        return 0x006000C0 | (0x20 if self._wire.waiting else 0)  # REACK, TEACK, TXE, TC; RXNE

    def _send(self, value: int) -> None:
        if not self._wire.open:
            self._check_uart()
            self._wire.open = True
        self._wire.put(value & 0xFF)

    def _check_uart(self) -> None:
        """Would this byte have left the chip at the right speed?"""
        prescaler = self._value(RCC_D2CFGR) >> 4 & 7
        ahb = 2 if self._value(RCC_D1CFGR) & 15 == 8 else 1
        kernel_hz = self.cpu_hz() / ahb / (2 ** (prescaler - 3) if prescaler >= 4 else 1)
        baud, wanted = kernel_hz / (self._value(BRR) or 1), int(self._board.uart["baud"])
        checks = {
            "USART3 has no clock": self._value(RCC_APB1LENR) >> 18 & 1,
            "GPIOD has no clock": self._value(RCC_AHB4ENR) >> 3 & 1,
            "PD8 and PD9 are not USART3's": self._value(GPIOD_MODER) >> 16 & 15 == 10
            and self._value(GPIOD_AFRH) & 0xFF == 0x77,
            "USART3 is off": self._value(CR1) & 13 == 13,
            f"{baud:.0f} baud is not {wanted}": abs(baud / wanted - 1) < _BAUD_TOLERANCE,
            "the flash needs two wait states": self.cpu_hz() == HSI_HZ or self._value(FLASH_ACR) & 0x3F == 0x22,
            "400 MHz needs VOS1": self.cpu_hz() == HSI_HZ or self._value(PWR_D3CR) >> 14 & 3 == 3,
        }
        for fact, passed in checks.items():
            if not passed:
                raise McugenError("unicorn", f"{fact} when the first byte is sent", "report this as a bug")
