/* Content hashes (XXH3-128 from the header-only part of xxHash: no run-time dependency). */
#ifndef AT_BASE_HASH_H
#define AT_BASE_HASH_H

#include <stddef.h>
#include <stdint.h>

/* 32 lower-case hex digits and a NUL. */
typedef struct at_hash {
    char hex[33];
} at_hash;

at_hash at_hash_bytes(const void *bytes, size_t length);
at_hash at_hash_text(const char *text);
/* A 64-bit hash for tables in memory. */
uint64_t at_hash64(const void *bytes, size_t length);

#endif
