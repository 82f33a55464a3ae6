#ifndef MCU_CRC32_H
#define MCU_CRC32_H

#include <stddef.h>
#include <stdint.h>

/* CRC-32 (IEEE 802.3) as zlib.crc32 computes it; start with crc = 0, go on with the last result. */
uint32_t mcu_crc32(uint32_t crc, const uint8_t *data, size_t bytes);

#endif
