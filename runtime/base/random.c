#include "random.h"

#include <string.h>

#define RANDOM_FUNCTION static inline
typedef uint64_t word;
typedef uint64_t words;

#include "../../templates/random/philox.c.in"

double at_random_unit(const void *key, int64_t element)
{
    uint64_t seed_offset[2], block = (uint64_t)element >> 2;
    memcpy(seed_offset, key, sizeof seed_offset);
    words c[4] = {block & 0xffffffff, block >> 32, seed_offset[1] & 0xffffffff, seed_offset[1] >> 32};
    philox(c, seed_offset[0]);
    return (double)(c[element & 3] >> 8) * 0x1p-24;
}
