#include "link.h"

#include "crc32.h"

#define HEADER 4u
#define CRC 4u

void link_init(mcu_link *link, int (*get)(void), void (*put)(uint8_t byte), uint8_t *frame) {
    link->get = get;
    link->writer.put = put;
    link->writer.count = 0;
    link->reader.buffer = frame;
    link->reader.capacity = MCU_FRAME;
    cobs_read_start(&link->reader);
}

void link_bytes(mcu_link *link, const uint8_t *data, uint32_t bytes) {
    link->crc = mcu_crc32(link->crc, data, bytes);
    for (uint32_t i = 0; i < bytes; i++) {
        cobs_write(&link->writer, data[i]);
    }
}

void link_u8(mcu_link *link, uint32_t value) {
    uint8_t byte = (uint8_t)value;
    link_bytes(link, &byte, 1);
}

void link_u16(mcu_link *link, uint32_t value) {
    link_u8(link, value);
    link_u8(link, value >> 8);
}

void link_u32(mcu_link *link, uint32_t value) {
    link_u16(link, value);
    link_u16(link, value >> 16);
}

void link_u64(mcu_link *link, uint64_t value) {
    link_u32(link, (uint32_t)value);
    link_u32(link, (uint32_t)(value >> 32));
}

void link_text(mcu_link *link, const char *text) {
    uint32_t length = 0;
    while (length < 63 && text[length] != 0) {
        length++;
    }
    link_u8(link, length);
    link_bytes(link, (const uint8_t *)text, length);
}

static void begin(mcu_link *link, uint32_t type, uint32_t sequence) {
    link->crc = 0;
    link_u8(link, MCU_PROTOCOL_VERSION);
    link_u8(link, type);
    link_u16(link, sequence);
}

void link_end(mcu_link *link) {
    link_u32(link, link->crc); /* changes link->crc only after it was read */
    cobs_write_end(&link->writer);
}

uint32_t link_type(const mcu_link *link) { return link->reader.buffer[1]; }

uint32_t link_sequence(const mcu_link *link) { return load16(link->reader.buffer + 2); }

const uint8_t *link_payload(const mcu_link *link) { return link->reader.buffer + HEADER; }

uint32_t link_payload_bytes(const mcu_link *link) { return link->reader.length - HEADER - CRC; }

void link_reply(mcu_link *link) { begin(link, link_type(link) | MCU_REPLY, link_sequence(link)); }

static void refuse(mcu_link *link, uint32_t sequence, uint32_t type, uint32_t code, uint32_t detail) {
    begin(link, MCU_ERROR, sequence);
    link_u8(link, code);
    link_u8(link, type);
    link_u32(link, detail);
    link_end(link);
}

void link_refuse(mcu_link *link, uint32_t code, uint32_t detail) {
    refuse(link, link_sequence(link), link_type(link), code, detail);
}

/* A frame has ended: true when it is a request of this protocol's version, else it is answered or ignored. */
static bool check(mcu_link *link) {
    const cobs_reader *reader = &link->reader;
    if (reader->length > reader->capacity) {
        refuse(link, 0, 0, MCU_ERROR_LENGTH, reader->capacity);
        return false;
    }
    if (reader->length < HEADER + CRC) {
        return false;
    }
    uint32_t bytes = reader->length - CRC;
    if (!cobs_whole(reader) || mcu_crc32(0, reader->buffer, bytes) != load32(reader->buffer + bytes)) {
        refuse(link, 0, 0, MCU_ERROR_CRC, 0);
        return false;
    }
    if (reader->buffer[0] != MCU_PROTOCOL_VERSION) {
        link_refuse(link, MCU_ERROR_VERSION, MCU_PROTOCOL_VERSION);
        return false;
    }
    return true;
}

bool link_receive(mcu_link *link) {
    int byte;
    while ((byte = link->get()) >= 0) {
        if (link->reader.code == 0) {
            cobs_read_start(&link->reader);
        }
        if (cobs_read(&link->reader, (uint8_t)byte)) {
            link->reader.code = 0; /* the next byte starts a frame */
            if (check(link)) {
                return true;
            }
        }
    }
    return false;
}
