#include "crc32c.h"

#include <pthread.h>

enum { SLICES = 4 };
static const uint32_t polynomial = 0x82F63B78; /* 0x1EDC6F41, bits mirrored */
static uint32_t table[SLICES][256];            /* table[k][b]: byte b followed by k zero bytes */
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void make_tables(void)
{
    for (uint32_t byte = 0; byte < 256; byte++) {
        uint32_t crc = byte;
        for (int bit = 0; bit < 8; bit++)
            crc = crc & 1 ? crc >> 1 ^ polynomial : crc >> 1;
        table[0][byte] = crc;
    }
    for (int k = 1; k < SLICES; k++)
        for (int byte = 0; byte < 256; byte++)
            table[k][byte] = table[k - 1][byte] >> 8 ^ table[0][table[k - 1][byte] & 0xFF];
}

uint32_t at_crc32c(const void *data, size_t bytes)
{
    const unsigned char *at = data;
    uint32_t crc = UINT32_MAX;
    pthread_once(&once, make_tables);
    for (; bytes >= SLICES; bytes -= SLICES, at += SLICES) {
        crc ^= at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 | (uint32_t)at[3] << 24;
        crc = table[3][crc & 0xFF] ^ table[2][crc >> 8 & 0xFF] ^ table[1][crc >> 16 & 0xFF] ^ table[0][crc >> 24];
    }
    for (; bytes > 0; bytes--)
        crc = crc >> 8 ^ table[0][(crc ^ *at++) & 0xFF];
    return ~crc;
}

uint32_t at_crc32c_masked(const void *data, size_t bytes)
{
    uint32_t crc = at_crc32c(data, bytes);
    return (crc >> 15 | crc << 17) + 0xA282EAD8u;
}
