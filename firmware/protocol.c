/* The requests that change something, WRITE and INFER, and the loop that serves all. */
#include "protocol.h"

#include <stddef.h>

#include "crc32.h"

static uint32_t crc_of(const mcu_protocol *p, const mcu_tensor *tensors, uint32_t count) {
    uint32_t crc = 0;
    for (uint32_t i = 0; i < count; i++) {
        crc = mcu_crc32(crc, mcu_tensor_data(p, &tensors[i]), tensors[i].bytes);
    }
    return crc;
}

static void write_input(mcu_protocol *p) {
    mcu_link *link = &p->link;
    const uint8_t *payload = link_payload(link);
    uint32_t bytes = link_payload_bytes(link);
    if (bytes < 6) {
        link_refuse(link, MCU_ERROR_LENGTH, bytes);
        return;
    }
    uint32_t offset = load32(payload + 2);
    const mcu_tensor *tensor = mcu_tensor_find(p, MCU_SET_INPUTS, load16(payload));
    bytes -= 6;
    if (tensor == NULL || !mcu_tensor_holds(tensor, offset, bytes)) {
        link_refuse(link, MCU_ERROR_RANGE, offset);
        return;
    }
    p->complete = p->repeatable = false; /* inputs and outputs may share memory */
    __builtin_memcpy(mcu_tensor_data(p, tensor) + offset, payload + 6, bytes);
    link_reply(link);
    link_end(link);
}

static void send_result(mcu_protocol *p) {
    mcu_link *link = &p->link;
    const mcu_result *result = &p->result;
    link_reply(link);
    link_u32(link, result->steps);
    link_u64(link, result->cycles);
    link_u32(link, load32(p->run_request + 16)); /* of which inputs: another client may have asked meanwhile */
    link_u32(link, result->stack_used);
    link_u32(link, result->bytes);
    link_u32(link, result->crc);
    link_end(link);
}

static void finish_result(mcu_protocol *p, const mcu_tensor *tensors, uint32_t count) {
    for (uint32_t i = 0; i < count; i++) {
        p->result.bytes += tensors[i].bytes;
    }
    p->result.crc = crc_of(p, tensors, count);
    p->result.stack_used = p->port->status()->stack_used;
    p->repeatable = true;
    send_result(p);
}

/* The request is the last INFER once more, because its reply was lost. */
static bool is_repeated(const mcu_protocol *p) {
    const mcu_link *link = &p->link;
    return p->repeatable && link_type(link) == MCU_INFER && link_sequence(link) == p->run_sequence &&
           link_payload_bytes(link) == MCU_INFER_BYTES &&
           __builtin_memcmp(p->run_request, link_payload(link), MCU_INFER_BYTES) == 0;
}

/* Holds the inference after a step and answers queries; WRITE and INFER let it go on and are answered afterwards. */
static void wait_stopped(mcu_protocol *p, uint32_t step) {
    mcu_link *link = &p->link;
    p->stopped = step;
    p->port->measure(false);
    finish_result(p, &p->model->steps[step], 1);
    while (!p->pending) {
        if (!link_receive(link)) {
            if (!p->port->idle()) {
                break;
            }
        } else if (is_repeated(p)) {
            send_result(p);
        } else if (link_type(link) == MCU_WRITE || link_type(link) == MCU_INFER) {
            p->pending = true;
        } else {
            mcu_protocol_query(p);
        }
    }
    p->port->measure(true);
    p->stopped = MCU_NO_STEP;
    p->repeatable = false;
}

static void after_step(void *context, uint32_t step) {
    mcu_protocol *p = context;
    uint32_t cycles = p->port->cycles_between(p->last_cycles, p->port->cycles());
    uint32_t count = p->model->n_steps;
    p->result.cycles += cycles;
    p->result.steps = step + 1;
    if (p->traced && step < count) {
        p->records[step].cycles = cycles;
        p->records[step].crc = crc_of(p, &p->model->steps[step], 1);
    }
    if (step == p->stop) {
        wait_stopped(p, step);
    }
    p->port->step(step + 1 < count ? step + 1 : MCU_NO_STEP);
    p->last_cycles = p->port->cycles();
}

static void run(mcu_protocol *p) {
    const mcu_model *model = p->model;
    p->complete = p->repeatable = false;
    p->result = (mcu_result){0};
    p->port->measure(true);
    p->port->step(0);
    p->last_cycles = p->port->cycles();
    model->run(p->banks, after_step, p);
    p->result.cycles += p->port->cycles_between(p->last_cycles, p->port->cycles());
    p->port->step(MCU_NO_STEP);
    p->port->measure(false);
    if (p->stop == MCU_NO_STEP) {
        p->complete = true;
        finish_result(p, model->outputs, model->n_outputs);
    }
}

static void infer(mcu_protocol *p) {
    mcu_link *link = &p->link;
    const mcu_model *model = p->model;
    const uint8_t *payload = link_payload(link);
    if (link_payload_bytes(link) != MCU_INFER_BYTES) {
        link_refuse(link, MCU_ERROR_LENGTH, link_payload_bytes(link));
        return;
    }
    if (is_repeated(p)) {
        send_result(p);
        return;
    }
    if (__builtin_memcmp(payload, model->digest, 16) != 0) {
        link_refuse(link, MCU_ERROR_DIGEST, 0);
        return;
    }
    uint32_t stop = load32(payload + 21);
    if (stop != MCU_NO_STEP && stop >= model->n_steps) {
        link_refuse(link, MCU_ERROR_RANGE, stop);
        return;
    }
    uint32_t crc = crc_of(p, model->inputs, model->n_inputs);
    if (crc != load32(payload + 16)) {
        link_refuse(link, MCU_ERROR_INPUTS, crc);
        return;
    }
    __builtin_memcpy(p->run_request, payload, MCU_INFER_BYTES);
    p->run_sequence = (uint16_t)link_sequence(link);
    p->traced = (payload[20] & MCU_INFER_TRACE) != 0;
    p->stop = stop;
    run(p);
}

void mcu_protocol_init(mcu_protocol *protocol, const mcu_port *port, const mcu_model *model, uint8_t *const banks[],
                       mcu_step_record *records, uint8_t *frame) {
    *protocol = (mcu_protocol){.port = port, .model = model, .banks = banks, .records = records};
    protocol->stop = protocol->stopped = MCU_NO_STEP;
    link_init(&protocol->link, port->get, port->put, frame);
}

void mcu_protocol_serve(mcu_protocol *protocol) {
    while (protocol->pending || link_receive(&protocol->link)) {
        protocol->pending = false;
        switch (link_type(&protocol->link)) {
        case MCU_WRITE:
            write_input(protocol);
            break;
        case MCU_INFER:
            infer(protocol);
            break;
        default:
            mcu_protocol_query(protocol);
        }
    }
}
