/* The dispatch table: winners as one flat, read-only block of bytes. Written once (from the database, later also to a
   file by `actune export`), then only read: from memory, from a mapped file, from several threads. Offsets instead of
   pointers, little-endian numbers at any alignment, a version and a checksum; a damaged or foreign block is refused by
   at_table_open and everything is bounds-checked there once, so that no reader can leave the block afterwards.

       0  "actunetb"     8 version (u32)   12 zero (u32)   16 bytes of the whole block (u64)   24 checksum of [32, end)
   (u64) 32  kernels (u32) 36 entries (u32)   40 bytes of text (u32)   44 zero (u32) 48  kernels: hash (16 bytes), first
   entry (u32), entries (u32); sorted by hash, entries of a kernel side by side .  entries: source hash (16 bytes),
   variant (u32, offset into text), size, channel and inner bucket, layout, in place (u8 each), 7 zero bytes; sorted by
   all but the source hash .  text: variants as at_variant_print writes them, each with its NUL */
#ifndef AT_BASE_TABLE_H
#define AT_BASE_TABLE_H

#include "hash.h"
#include "signature.h"

enum { AT_TABLE_VERSION = 1 };

/* Where a winner holds. Buckets are at_size_bucket of elements, channels and inner; the latter two 0 when FLAT. */
typedef struct at_table_key {
    at_hash kernel;
    at_layout layout;
    int size_bucket, channel_bucket, inner_bucket;
    bool in_place;
} at_table_key;

/* The key of a shape: the one function that tuner and dispatch share. */
at_table_key at_table_key_of(const at_hash *kernel, at_layout layout, actune_shape shape, bool in_place);

typedef struct at_table_row {
    at_table_key key;
    const char *variant;
    at_hash source_hash;
    int rank; /* of two rows with one key the lower rank is kept; not stored */
} at_table_row;

/* Writes `count` rows (they are sorted in place) as one block; free it with free(). INVALID_ARGUMENT for a hash that is
   not 32 hex digits or a bucket outside of [0, 63], NO_MEMORY. */
actune_status at_table_build(at_table_row *rows, int count, unsigned char **bytes, size_t *size);

/* A view of a block, which must outlive it. */
typedef struct at_table {
    const unsigned char *kernels, *entries;
    const char *text;
    uint32_t kernel_count, entry_count, text_bytes;
} at_table;

/* INVALID_ARGUMENT with what is wrong when the block is damaged, cut or of another version. Allocates nothing. */
actune_status at_table_open(const void *bytes, size_t size, at_table *table);
/* The same of a block that at_table_open accepted, or that at_table_build made: nothing is checked. */
at_table at_table_view(const void *bytes);
/* Entry `index` of [0, entry_count); texts point into the block. */
at_table_row at_table_get(const at_table *table, uint32_t index);

typedef enum at_table_fit {
    AT_TABLE_EXACT,
    AT_TABLE_NEAREST_SIZE, /* same buckets but for the size */
    AT_TABLE_OTHER_LAYOUT  /* another channel or inner bucket of the same layout */
} at_table_fit;

typedef struct at_table_match {
    const char *variant;
    at_hash source_hash;
    at_table_fit fit;
} at_table_match;

/* Up to `max` (at most 8) winners for a key, best first: nearest channel and inner bucket (in log2, summed), then
   nearest size, the smaller one at a tie. Never crosses layout or in_place: a kernel that is best out of place may use
   non-temporal stores. Returns how many. */
int at_table_find(const at_table *table, const at_table_key *key, at_table_match *matches, int max);

#endif
