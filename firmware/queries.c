/* The requests that change nothing: HELLO, DESCRIBE, READ, STEPS. */
#include <stddef.h>

#include "protocol.h"

const mcu_tensor *mcu_tensor_find(const mcu_protocol *protocol, uint32_t set, uint32_t index) {
    const mcu_model *model = protocol->model;
    if (set == MCU_SET_INPUTS && index < model->n_inputs) {
        return &model->inputs[index];
    }
    if (set == MCU_SET_OUTPUTS && index < model->n_outputs) {
        return &model->outputs[index];
    }
    if (set == MCU_SET_STEPS && index < model->n_steps) {
        return &model->steps[index];
    }
    return NULL;
}

static void hello(mcu_protocol *p) {
    mcu_link *link = &p->link;
    const mcu_model *model = p->model;
    const mcu_status *status = p->port->status();
    const mcu_fault *fault = &status->fault;
    const uint32_t words[] = {
        model->n_inputs,       model->n_outputs,    model->n_steps,      status->clock_hz,     status->uptime_ms,
        status->boots,         status->boot_timeouts, status->rx_lost,   status->tx_timeouts,  status->stack_bytes,
        status->stack_used,    status->reset_cause, status->clock_source, fault->kind,         fault->boot,
        fault->step,           fault->pc,           fault->lr,           fault->psr,           fault->sp,
        fault->cfsr,           fault->hfsr,         fault->address,
    };
    link_reply(link);
    link_u32(link, MCU_CHUNK);
    link_bytes(link, model->digest, 16);
    for (uint32_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        link_u32(link, words[i]);
    }
    link_text(link, model->name);
    link_text(link, status->board);
    link_end(link);
}

static void describe(mcu_protocol *p) {
    mcu_link *link = &p->link;
    const uint8_t *payload = link_payload(link);
    if (link_payload_bytes(link) != 5) {
        link_refuse(link, MCU_ERROR_LENGTH, link_payload_bytes(link));
        return;
    }
    const mcu_tensor *tensor = mcu_tensor_find(p, payload[0], load32(payload + 1));
    if (tensor == NULL) {
        link_refuse(link, MCU_ERROR_RANGE, load32(payload + 1));
        return;
    }
    union {
        float value;
        uint32_t bits;
    } scale = {.value = tensor->scale};
    link_reply(link);
    link_u8(link, tensor->kind);
    link_u8(link, tensor->bits);
    link_u8(link, tensor->n_dims);
    for (uint32_t i = 0; i < 4; i++) {
        link_u32(link, i < tensor->n_dims ? tensor->dims[i] : 1u);
    }
    link_u32(link, tensor->bytes);
    link_u32(link, scale.bits);
    link_text(link, tensor->name);
    link_end(link);
}

/* Inputs can always be read, outputs after a whole inference, a step's output while an inference waits after it. */
static void read_tensor(mcu_protocol *p) {
    mcu_link *link = &p->link;
    const uint8_t *payload = link_payload(link);
    if (link_payload_bytes(link) != 11) {
        link_refuse(link, MCU_ERROR_LENGTH, link_payload_bytes(link));
        return;
    }
    uint32_t set = payload[0], index = load32(payload + 1), offset = load32(payload + 5), bytes = load16(payload + 9);
    const mcu_tensor *tensor = mcu_tensor_find(p, set, index);
    if (tensor == NULL || bytes > MCU_CHUNK || !mcu_tensor_holds(tensor, offset, bytes)) {
        link_refuse(link, MCU_ERROR_RANGE, offset);
    } else if ((set == MCU_SET_OUTPUTS && !p->complete) || (set == MCU_SET_STEPS && p->stopped != index)) {
        link_refuse(link, MCU_ERROR_NOT_READY, index);
    } else {
        link_reply(link);
        link_bytes(link, mcu_tensor_data(p, tensor) + offset, bytes);
        link_end(link);
    }
}

static void steps(mcu_protocol *p) {
    mcu_link *link = &p->link;
    if (link_payload_bytes(link) != 4) {
        link_refuse(link, MCU_ERROR_LENGTH, link_payload_bytes(link));
        return;
    }
    uint32_t first = load32(link_payload(link));
    if (first > p->model->n_steps) {
        link_refuse(link, MCU_ERROR_RANGE, first);
        return;
    }
    if (!p->traced || !p->complete) {
        link_refuse(link, MCU_ERROR_NOT_READY, 0);
        return;
    }
    uint32_t count = p->model->n_steps - first;
    count = count < (MCU_CHUNK - 6u) / 12u ? count : (MCU_CHUNK - 6u) / 12u;
    link_reply(link);
    link_u16(link, count);
    link_u32(link, load32(p->run_request + 16)); /* of which inputs */
    for (uint32_t i = first; i < first + count; i++) {
        link_u64(link, p->records[i].cycles);
        link_u32(link, p->records[i].crc);
    }
    link_end(link);
}

void mcu_protocol_query(mcu_protocol *protocol) {
    switch (link_type(&protocol->link)) {
    case MCU_HELLO:
        hello(protocol);
        break;
    case MCU_DESCRIBE:
        describe(protocol);
        break;
    case MCU_READ:
        read_tensor(protocol);
        break;
    case MCU_STEPS:
        steps(protocol);
        break;
    default:
        link_refuse(&protocol->link, MCU_ERROR_TYPE, link_type(&protocol->link));
    }
}
