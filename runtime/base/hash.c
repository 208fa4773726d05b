#include "hash.h"

#include <stdio.h>
#include <string.h>
#define XXH_INLINE_ALL
#include <xxhash.h>

at_hash at_hash_bytes(const void *bytes, size_t length)
{
    XXH128_hash_t value = XXH3_128bits(bytes, length);
    at_hash hash;
    snprintf(hash.hex, sizeof hash.hex, "%016llx%016llx", (unsigned long long)value.high64,
             (unsigned long long)value.low64);
    return hash;
}

at_hash at_hash_text(const char *text)
{
    return at_hash_bytes(text, strlen(text));
}

uint64_t at_hash64(const void *bytes, size_t length)
{
    return XXH3_64bits(bytes, length);
}
