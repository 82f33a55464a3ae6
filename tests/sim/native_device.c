/* The protocol with the tiny model on this computer: for the client's tests, and as a fuzz target (fuzz_protocol.py).
 *
 * With LIBFUZZER, inputs are bytes on the line or, by their first byte, records that fuzz_frames.c makes whole frames of.
 * Without it: an executable that reads (length u32, bytes on the line) records from standard input. */
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "protocol.h"

extern const mcu_model tiny;

void device_reset(void);
void device_receive(const uint8_t *data, size_t bytes);
size_t device_send(uint8_t *data, size_t capacity);
void device_survives(const uint8_t *data, size_t bytes);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);
size_t make_frames(const uint8_t *data, size_t bytes, uint8_t *line);

#define SENT (1u << 22)

static mcu_protocol protocol;
static uint8_t bank0[8], bank1[8], sent[SENT];
static uint8_t *const banks[] = {bank0, bank1};
static uint8_t *frame; /* allocated, so that a sanitizer sees its end */
static mcu_step_record records[2];
static mcu_status status = {.clock_hz = 1000, .boots = 1, .board = "native"};
static const uint8_t *input;
static size_t input_left, sent_bytes;
static uint32_t ticks;

static int get(void) {
    if (input_left == 0) {
        return -1;
    }
    input_left--;
    return *input++;
}

static void put(uint8_t byte) {
    if (sent_bytes < SENT) {
        sent[sent_bytes++] = byte;
    }
}

static bool idle(void) { return false; }

static void measure(bool on) { (void)on; }

static void step(uint32_t index) { (void)index; }

static uint32_t cycles(void) { return ticks += 10; }

static uint32_t cycles_between(uint32_t start, uint32_t end) { return end - start; }

static const mcu_status *current_status(void) { return &status; }

static const mcu_port port = {get, put, idle, measure, step, cycles, cycles_between, current_status};

void device_reset(void) {
    free(frame);
    frame = malloc(MCU_FRAME);
    memset(frame, 0xA5, MCU_FRAME);
    sent_bytes = 0;
    mcu_protocol_init(&protocol, &port, &tiny, banks, records, frame);
}

void device_receive(const uint8_t *data, size_t bytes) {
    input = data;
    input_left = bytes;
    mcu_protocol_serve(&protocol);
}

size_t device_send(uint8_t *data, size_t capacity) {
    size_t bytes = sent_bytes < capacity ? sent_bytes : capacity;
    memcpy(data, sent, bytes);
    memmove(sent, sent + bytes, sent_bytes - bytes);
    sent_bytes -= bytes;
    return bytes;
}

/* Whatever came, each zero ends at most one reply, and the next HELLO is answered. */
void device_survives(const uint8_t *data, size_t bytes) {
    static const uint8_t hello[] = {0, 9, 1, 1, 6, 7, 0x6B, 0xE0, 4, 0x50, 0}; /* sequence 0x0706 */
    size_t zeros = 1, replies = 0;
    device_reset();
    device_receive(data, bytes);
    for (size_t i = 0; i < bytes; i++) {
        zeros += data[i] == 0;
    }
    for (size_t i = 0; i < sent_bytes; i++) {
        replies += sent[i] == 0;
    }
    sent_bytes = 0;
    device_receive(hello, sizeof hello);
    if (replies > zeros || sent_bytes == 0 || sent[sent_bytes - 1] != 0) {
        abort();
    }
}

#ifdef LIBFUZZER
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes) {
    if (bytes == 0 || data[0] % 4 == 0) {
        device_survives(data, bytes);
        return 0;
    }
    uint8_t *line = malloc(5 * bytes + 64); /* the longest a record becomes: see make_frames */
    if (line != NULL) {
        device_survives(line, make_frames(data + 1, bytes - 1, line));
    }
    free(line);
    return 0;
}
#else
int main(void) {
    uint32_t bytes;
    while (fread(&bytes, sizeof bytes, 1, stdin) == 1) {
        uint8_t *data = malloc(bytes + 1);
        if (data == NULL || fread(data, 1, bytes, stdin) != bytes) {
            return 2;
        }
        device_survives(data, bytes);
        free(data);
    }
    return 0;
}
#endif
