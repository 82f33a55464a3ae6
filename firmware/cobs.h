/* Consistent Overhead Byte Stuffing (Cheshire and Baker, 1999): frames without zeros, so that a zero ends a frame. */
#ifndef MCU_COBS_H
#define MCU_COBS_H

#include <stdbool.h>
#include <stdint.h>

typedef struct cobs_writer {
    void (*put)(uint8_t byte);
    uint8_t count; /* 0 to 254 bytes without a zero wait in `block` */
    uint8_t block[254];
} cobs_writer;

void cobs_write(cobs_writer *writer, uint8_t byte);

/* Sends what waits and the zero. */
void cobs_write_end(cobs_writer *writer);

typedef struct cobs_reader {
    uint8_t *buffer;
    uint32_t capacity;
    uint32_t length; /* may exceed capacity: the rest is dropped */
    uint8_t code;    /* of the block being read; 0 before the first */
    uint8_t left;    /* bytes of it still to come */
} cobs_reader;

void cobs_read_start(cobs_reader *reader);

/* Takes one received byte; true when it ended a frame: `length` bytes, then call cobs_read_start. */
bool cobs_read(cobs_reader *reader, uint8_t byte);

/* At the end of a frame: its last block was complete and everything fitted. */
bool cobs_whole(const cobs_reader *reader);

#endif
