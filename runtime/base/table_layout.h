/* The bytes of a dispatch table, for the files that read them: offsets of the fields that table.h describes, and their numbers. */
#ifndef AT_BASE_TABLE_LAYOUT_H
#define AT_BASE_TABLE_LAYOUT_H

#include "table.h"

enum { HEADER_BYTES = 48, HASH_BYTES = 16, KERNEL_BYTES = HASH_BYTES + 8, ENTRY_BYTES = 32, BUCKETS = 64 };

/* Fields of a header, a kernel and an entry, as offsets. */
enum { H_VERSION = 8, H_SIZE = 16, H_CHECKSUM = 24, H_KERNELS = 32, H_ENTRIES = 36, H_TEXT = 40 };
enum { K_FIRST = HASH_BYTES, K_COUNT = HASH_BYTES + 4 };
enum { E_VARIANT = HASH_BYTES, E_SIZE = 20, E_CHANNEL, E_INNER, E_LAYOUT, E_IN_PLACE };

static inline uint64_t get(const unsigned char *at, int bytes)
{
    uint64_t value = 0;
    for (int i = 0; i < bytes; i++)
        value |= (uint64_t)at[i] << (8 * i);
    return value;
}

static inline uint32_t get32(const unsigned char *at)
{
    return (uint32_t)get(at, 4);
}

static inline const unsigned char *kernel_at(const at_table *table, uint32_t index)
{
    return table->kernels + (size_t)index * KERNEL_BYTES;
}

static inline const unsigned char *entry_at(const at_table *table, uint32_t index)
{
    return table->entries + (size_t)index * ENTRY_BYTES;
}

static inline at_table_key key_of_entry(const unsigned char *entry)
{
    return (at_table_key){.layout = (at_layout)entry[E_LAYOUT],
                          .size_bucket = entry[E_SIZE],
                          .channel_bucket = entry[E_CHANNEL],
                          .inner_bucket = entry[E_INNER],
                          .in_place = entry[E_IN_PLACE] != 0};
}

/* False for what is not 32 lower-case hex digits. */
bool at_table_pack_hash(const at_hash *hash, unsigned char *out);
at_hash at_table_unpack_hash(const unsigned char *bytes);

#endif
