/* What a generated model offers to any firmware: descriptors in flash and one run function; it owns no memory. */
#ifndef MCU_MODEL_H
#define MCU_MODEL_H

#include <stdint.h>

#define MCU_KIND_INT 'i'   /* signed integers of `bits` bits, one after another, little-endian */
#define MCU_KIND_UINT 'u'  /* unsigned integers */
#define MCU_KIND_FLOAT 'f' /* IEEE binary32 */
#define MCU_KIND_BITS 'b'  /* -1/+1 as bits (1 = +1), channels of one pixel in 32-bit words, rounded up */

/* One tensor in the caller's memory: value = code * scale. */
typedef struct mcu_tensor {
    const char *name;
    uint8_t kind;     /* MCU_KIND_* */
    uint8_t bits;     /* of one element: 1, 2, 4, 8, 16 or 32; 2 and 4: packed along the channels, lowest bits first, every
                       * pixel begins at a byte */
    uint8_t bank;     /* index into the banks */
    uint8_t n_dims;   /* 1 to 4 */
    uint32_t dims[4]; /* batch axis left out, channels last */
    uint32_t offset;  /* bytes from the start of the bank */
    uint32_t bytes;
    float scale;
} mcu_tensor;

/* Called after each step with its index into `steps`; may be null. */
typedef void (*mcu_after_step)(void *context, uint32_t step);

typedef struct mcu_model {
    const char *name;
    uint8_t digest[16]; /* first half of a SHA-256 over the model's integers: equal digests compute equal outputs */
    const mcu_tensor *inputs;
    const mcu_tensor *outputs;
    const mcu_tensor *steps; /* the output tensor of each step, in order of execution */
    uint32_t n_inputs, n_outputs, n_steps;
    const uint32_t *bank_bytes; /* how much memory to hand in for each bank, aligned to 8 bytes */
    uint32_t n_banks;
    /* Reads the inputs from, and writes the outputs to, the banks. Allocation-free, re-entrant with other banks. */
    void (*run)(uint8_t *const banks[], mcu_after_step after, void *context);
} mcu_model;

#endif
