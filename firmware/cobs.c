#include "cobs.h"

static void send_block(cobs_writer *writer) {
    writer->put((uint8_t)(writer->count + 1u));
    for (uint32_t i = 0; i < writer->count; i++) {
        writer->put(writer->block[i]);
    }
    writer->count = 0;
}

void cobs_write(cobs_writer *writer, uint8_t byte) {
    if (writer->count == 254) {
        send_block(writer);
    }
    if (byte == 0) {
        send_block(writer);
    } else {
        writer->block[writer->count++] = byte;
    }
}

void cobs_write_end(cobs_writer *writer) {
    send_block(writer);
    writer->put(0);
}

void cobs_read_start(cobs_reader *reader) { reader->length = reader->code = reader->left = 0; }

static void append(cobs_reader *reader, uint8_t byte) {
    if (reader->length < reader->capacity) {
        reader->buffer[reader->length] = byte;
    }
    if (reader->length <= reader->capacity) {
        reader->length++;
    }
}

bool cobs_read(cobs_reader *reader, uint8_t byte) {
    if (byte == 0) {
        return true;
    }
    if (reader->left > 0) {
        append(reader, byte);
        reader->left--;
        return false;
    }
    if (reader->code != 0 && reader->code != 255) {
        append(reader, 0);
    }
    reader->code = byte;
    reader->left = (uint8_t)(byte - 1u);
    return false;
}

bool cobs_whole(const cobs_reader *reader) { return reader->left == 0 && reader->length <= reader->capacity; }
