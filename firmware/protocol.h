/* The messages in the frames of link.h; mcugen/protocol/client.py is the twin.
 *
 * The device answers each request by one reply with the same sequence, or by MCU_ERROR. Requests may be repeated at
 * will: an INFER with the sequence of the one before is answered, not run again. */
#ifndef MCU_PROTOCOL_H
#define MCU_PROTOCOL_H

#include <stdbool.h>
#include <stdint.h>

#include "link.h"
#include "mcu_model.h"
#include "status.h"

#define MCU_HELLO 1u    /* () -> see queries.c */
#define MCU_DESCRIBE 2u /* (set u8, index u32) -> a tensor */
#define MCU_WRITE 3u    /* (input u16, offset u32, data) -> () */
#define MCU_INFER 4u    /* (digest 16, inputs_crc u32, flags u8, stop u32) -> a result, see protocol.c */
#define MCU_READ 5u     /* (set u8, index u32, offset u32, length u16) -> data */
#define MCU_STEPS 6u    /* (first u32) -> count u16, inputs_crc u32, count times (cycles u64, crc u32) */

#define MCU_SET_INPUTS 0u
#define MCU_SET_OUTPUTS 1u
#define MCU_SET_STEPS 2u

#define MCU_INFER_BYTES 25u
#define MCU_INFER_TRACE 1u /* keep cycles and CRC-32 of every step's output */

/* What one step left behind in a traced inference. */
typedef struct mcu_step_record {
    uint64_t cycles;
    uint32_t crc;
} mcu_step_record;

/* What the protocol needs from its surroundings. */
typedef struct mcu_port {
    int (*get)(void);           /* next received byte, -1 if there is none */
    void (*put)(uint8_t byte);
    bool (*idle)(void);         /* nothing to do; false: stop waiting (never on a device) */
    void (*measure)(bool on);   /* around an inference: quiet interrupts, fresh stack paint */
    void (*step)(uint32_t step); /* this step runs next; MCU_NO_STEP: none. Feeds the watchdog */
    uint32_t (*cycles)(void);   /* a counter that wraps at 2^32 */
    uint32_t (*cycles_between)(uint32_t start, uint32_t end);
    const mcu_status *(*status)(void);
} mcu_port;

typedef struct mcu_result {
    uint64_t cycles;
    uint32_t steps; /* done */
    uint32_t stack_used;
    uint32_t bytes; /* of all outputs, or of the step the inference stopped after */
    uint32_t crc;   /* of the same bytes in order */
} mcu_result;

typedef struct mcu_protocol {
    const mcu_port *port;
    const mcu_model *model;
    uint8_t *const *banks;
    mcu_step_record *records; /* one a step */
    mcu_link link;
    bool pending;       /* the request in the link has still to be answered */
    bool complete;      /* outputs hold the result of a whole inference */
    bool traced;        /* records hold one */
    uint32_t stop;      /* the step to stop after, or MCU_NO_STEP */
    uint32_t stopped;   /* the step an inference waits after now, or MCU_NO_STEP */
    uint32_t last_cycles;
    bool repeatable;    /* the last inference's result can be sent again */
    uint16_t run_sequence;
    uint8_t run_request[MCU_INFER_BYTES];
    mcu_result result;
} mcu_protocol;

/* `frame` holds MCU_FRAME bytes, `records` model->n_steps. */
void mcu_protocol_init(mcu_protocol *protocol, const mcu_port *port, const mcu_model *model, uint8_t *const banks[],
                       mcu_step_record *records, uint8_t *frame);

/* Answers all requests received so far. */
void mcu_protocol_serve(mcu_protocol *protocol);

/* In queries.c: requests that change nothing; refuses all others. */
void mcu_protocol_query(mcu_protocol *protocol);

/* Where a tensor's bytes are. */
static inline uint8_t *mcu_tensor_data(const mcu_protocol *protocol, const mcu_tensor *tensor) {
    return protocol->banks[tensor->bank] + tensor->offset;
}

/* The tensor, or null if there is none. */
const mcu_tensor *mcu_tensor_find(const mcu_protocol *protocol, uint32_t set, uint32_t index);

static inline bool mcu_tensor_holds(const mcu_tensor *tensor, uint32_t offset, uint32_t bytes) {
    return offset <= tensor->bytes && bytes <= tensor->bytes - offset;
}

#endif
