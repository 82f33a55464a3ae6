/* Frames: COBS(version u8, type u8, sequence u16, payload, CRC-32 of all before) and a zero; little-endian.
 *
 * Frames too short to be a request are ignored, broken ones answered by MCU_ERROR with sequence 0. */
#ifndef MCU_LINK_H
#define MCU_LINK_H

#include <stdbool.h>
#include <stdint.h>

#include "cobs.h"

#define MCU_PROTOCOL_VERSION 1u
#define MCU_CHUNK 1024u                      /* most data bytes in one frame */
#define MCU_FRAME (4u + 6u + MCU_CHUNK + 4u) /* the longest frame: a WRITE */
#define MCU_REPLY 0x80u                      /* added to the request's type */
#define MCU_ERROR 0xFFu                      /* (code u8, type u8, detail u32) */

#define MCU_ERROR_CRC 1u       /* sequence 0: the frame's own cannot be trusted */
#define MCU_ERROR_LENGTH 2u    /* payload too short or long; sequence 0 if the frame was too long */
#define MCU_ERROR_TYPE 3u
#define MCU_ERROR_VERSION 4u   /* detail: the device's version */
#define MCU_ERROR_DIGEST 5u    /* the client thinks of another model */
#define MCU_ERROR_RANGE 6u     /* no such tensor, bytes or step */
#define MCU_ERROR_INPUTS 7u    /* the inputs' CRC differs, write them again; detail: the device's CRC */
#define MCU_ERROR_NOT_READY 8u /* nothing was computed that could be read */

typedef struct mcu_link {
    int (*get)(void); /* next received byte, -1 if there is none */
    cobs_reader reader;
    cobs_writer writer;
    uint32_t crc; /* of the frame being written */
} mcu_link;

/* `frame` holds MCU_FRAME bytes. */
void link_init(mcu_link *link, int (*get)(void), void (*put)(uint8_t byte), uint8_t *frame);

/* Takes received bytes until a request is whole (true) or none are left (false). */
bool link_receive(mcu_link *link);

/* The request that came last. */
uint32_t link_type(const mcu_link *link);
uint32_t link_sequence(const mcu_link *link);
const uint8_t *link_payload(const mcu_link *link);
uint32_t link_payload_bytes(const mcu_link *link);

/* A reply to it: link_reply, fields, link_end. */
void link_reply(mcu_link *link);
void link_u8(mcu_link *link, uint32_t value);
void link_u16(mcu_link *link, uint32_t value);
void link_u32(mcu_link *link, uint32_t value);
void link_u64(mcu_link *link, uint64_t value);
void link_bytes(mcu_link *link, const uint8_t *data, uint32_t bytes);
void link_text(mcu_link *link, const char *text); /* length u8, at most 63 characters */
void link_end(mcu_link *link);

/* An error as the reply. */
void link_refuse(mcu_link *link, uint32_t code, uint32_t detail);

static inline uint32_t load16(const uint8_t *p) { return p[0] | (uint32_t)p[1] << 8; }

static inline uint32_t load32(const uint8_t *p) { return load16(p) | load16(p + 2) << 16; }

#endif
