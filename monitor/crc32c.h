/* CRC-32C (Castagnoli), as TFRecord files have it. */
#ifndef AT_MONITOR_CRC32C_H
#define AT_MONITOR_CRC32C_H

#include <stddef.h>
#include <stdint.h>

/* Of "123456789": 0xE3069283. Any thread. */
uint32_t at_crc32c(const void *data, size_t bytes);
/* Rotated and displaced, so that a sum over data that hold sums stays meaningful. */
uint32_t at_crc32c_masked(const void *data, size_t bytes);

#endif
