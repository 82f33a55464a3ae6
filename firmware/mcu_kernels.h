/* What every generated model.c includes: numerics, and how step functions are placed. */
#ifndef MCU_KERNELS_H
#define MCU_KERNELS_H

#include "hot.h"
#include "mcu_numerics.h"

/* Step functions stay separate, unmerged and under their own names, so that a profile can tell them apart. */
#if defined(__clang__)
#define MCU_STEP __attribute__((noinline))
#else
#define MCU_STEP __attribute__((noipa))
#endif
#define MCU_COLD __attribute__((noinline, cold))
#define MCU_ALIGN(n) __attribute__((aligned(n)))

#endif
