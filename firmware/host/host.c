/* Runs a model natively: inputs from standard input, outputs to standard output, image after image until the end.
 * With the argument "trace" every step's output follows its step at once, instead of the outputs. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "model.h"

static uint8_t **banks;
static int broken;

static void put(const mcu_tensor *tensor)
{
    if (fwrite(banks[tensor->bank] + tensor->offset, 1, tensor->bytes, stdout) != tensor->bytes) broken = 1;
}

static void after(void *context, uint32_t step)
{
    (void)context;
    put(&MCU_APP.steps[step]);
}

static int get_inputs(void)
{
    for (uint32_t i = 0; i < MCU_APP.n_inputs; i++) {
        const mcu_tensor *tensor = &MCU_APP.inputs[i];
        if (fread(banks[tensor->bank] + tensor->offset, 1, tensor->bytes, stdin) != tensor->bytes) return 0;
    }
    return 1;
}

int main(int argc, char **argv)
{
    const int trace = argc > 1 && strcmp(argv[1], "trace") == 0;
    banks = malloc(MCU_APP.n_banks * sizeof *banks);
    if (!banks) return 3;
    for (uint32_t i = 0; i < MCU_APP.n_banks; i++) {
        banks[i] = malloc(MCU_APP.bank_bytes[i]);
        if (!banks[i]) return 3;
        memset(banks[i], 0xA5, MCU_APP.bank_bytes[i]);
    }
    while (get_inputs()) {
        MCU_APP.run(banks, trace ? after : 0, 0);
        for (uint32_t i = 0; !trace && i < MCU_APP.n_outputs; i++) put(&MCU_APP.outputs[i]);
        fflush(stdout);
        if (broken) return 4;
    }
    for (uint32_t i = 0; i < MCU_APP.n_banks; i++) free(banks[i]);
    free(banks);
    return 0;
}
