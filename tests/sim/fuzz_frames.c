/* Records of the fuzzer's making as whole frames with the right CRC-32, so that hostile payloads get past the link. */
#include <stddef.h>
#include <string.h>

#include "cobs.h"
#include "crc32.h"
#include "protocol.h"

size_t make_frames(const uint8_t *data, size_t bytes, uint8_t *line);

#define LONGEST (MCU_FRAME + 64u)

static uint8_t *to;

static void put(uint8_t byte) { *to++ = byte; }

static void send(const uint8_t *body, size_t bytes) {
    cobs_writer writer = {.put = put};
    uint32_t crc = mcu_crc32(0, body, (uint32_t)bytes);
    for (size_t i = 0; i < bytes; i++) {
        cobs_write(&writer, body[i]);
    }
    for (int shift = 0; shift < 32; shift += 8) {
        cobs_write(&writer, (uint8_t)(crc >> shift));
    }
    cobs_write_end(&writer);
}

/* The one INFER that runs: digest and CRC-32 of the tiny model's input as it was just written. */
static size_t good_infer(uint8_t *body, const uint8_t *input, uint8_t flags, uint8_t stop) {
    uint32_t crc = mcu_crc32(0, input, 8);
    for (uint8_t i = 0; i < 16; i++) {
        body[4 + i] = (uint8_t)(i + 1u);
    }
    memcpy(body + 20, &crc, 4);
    body[24] = flags & MCU_INFER_TRACE;
    memset(body + 25, stop < 2 ? 0 : 0xFF, 4);
    body[25] = stop < 2 ? stop : 0xFF;
    return 4 + MCU_INFER_BYTES;
}

/* A record: (type u8, sequence u8, length u16, payload). Types from 128 on: WRITE of eight bytes, then an INFER of them:
 * 24 + 35 bytes for 12 of the record. `line` holds 5 * bytes + 64. */
size_t make_frames(const uint8_t *data, size_t bytes, uint8_t *line) {
    static uint8_t body[LONGEST + 4];
    const uint8_t *end = data + bytes;
    to = line;
    while (end - data >= 4) {
        size_t length = (size_t)(data[2] | data[3] << 8) % LONGEST, left = (size_t)(end - data) - 4;
        length = length < left ? length : left;
        memcpy(body, (uint8_t[]){(data[1] & 0xF0) == 0xF0 ? 2 : 1, data[0], data[1] & 3, 0}, 4);
        if (data[0] >= 128 && data[0] < 255 && left >= 8) {
            length = 8;
            body[1] = MCU_WRITE;
            memset(body + 4, 0, 6);
            memcpy(body + 10, data + 4, 8);
            send(body, 18);
            body[1] = MCU_INFER;
            send(body, good_infer(body, data + 4, data[1] >> 2, data[2] & 3));
        } else {
            memcpy(body + 4, data + 4, length);
            send(body, 4 + length);
        }
        data += 4 + length;
    }
    return (size_t)(to - line);
}
