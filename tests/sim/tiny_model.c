/* A model to test the firmware with: two steps add 1 each to eight bytes. 0xEE as the first byte asks for a fault. */
#include "hot.h"
#include "mcu_model.h"

extern const mcu_model tiny;

enum { SIZE = 8 };

static const mcu_tensor inputs[] = {
    {.name = "x", .kind = MCU_KIND_UINT, .bits = 8, .n_dims = 1, .dims = {SIZE}, .bytes = SIZE, .scale = 0.5f}};
static const mcu_tensor steps[] = {
    {.name = "one", .kind = MCU_KIND_UINT, .bits = 8, .bank = 1, .n_dims = 1, .dims = {SIZE}, .bytes = SIZE, .scale = 0.5f},
    {.name = "two", .kind = MCU_KIND_UINT, .bits = 8, .n_dims = 1, .dims = {SIZE}, .bytes = SIZE, .scale = 0.5f}};
static const uint32_t bank_bytes[] = {SIZE, SIZE};

MCU_HOT static void add_one(const uint8_t *from, uint8_t *to) {
    for (uint32_t i = 0; i < SIZE; i++) {
        to[i] = (uint8_t)(from[i] + 1u);
    }
}

#if defined(__arm__)
static uint32_t deeper(volatile uint32_t *above) {
    volatile uint32_t here[64];
    here[0] = *above + 1u;
    return here[0] == 0 ? 0 : deeper(here) + here[0];
}

static void misbehave(uint8_t how) {
    volatile uint32_t zero = 0;
    switch (how) {
    case 1: /* a null pointer */
        (void)*(volatile uint32_t *)(uintptr_t)zero;
        break;
    case 2: /* no instruction */
        __asm__ volatile("udf #0");
        break;
    case 3: /* write to flash */
        *(volatile uint32_t *)(uintptr_t)&inputs[0] = 1;
        break;
    case 4: /* stack overflow */
        (void)deeper(&zero);
        break;
    case 5: /* no memory there */
        *(volatile uint32_t *)(uintptr_t)(0x70000000u + zero) = 1;
        break;
    default: /* never ends */
        for (;;) {
            zero = 1;
        }
    }
}

#endif

static void run(uint8_t *const banks[], mcu_after_step after, void *context) {
#if defined(__arm__)
    if (banks[0][0] == 0xEE) {
        misbehave(banks[0][1]);
    }
#endif
    add_one(banks[0], banks[1]);
    if (after) {
        after(context, 0);
    }
    add_one(banks[1], banks[0]);
    if (after) {
        after(context, 1);
    }
}

const mcu_model tiny = {
    .name = "tiny",
    .digest = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16},
    .inputs = inputs,
    .outputs = &steps[1],
    .steps = steps,
    .n_inputs = 1,
    .n_outputs = 1,
    .n_steps = 2,
    .bank_bytes = bank_bytes,
    .n_banks = 2,
    .run = run,
};
