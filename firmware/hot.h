/* Where code and tables run from. MCU_HOT code is copied to the ITCM at boot, MCU_HOT_DATA tables to the DTCM. */
#ifndef MCU_HOT_H
#define MCU_HOT_H

#if defined(__arm__)
#define MCU_HOT __attribute__((section(".itcm"), noinline))
#define MCU_HOT_DATA __attribute__((section(".dtcm_data")))
#else
#define MCU_HOT
#define MCU_HOT_DATA
#endif

#endif
