/* Reading a dispatch table that is known to be sound. Needs nothing but libc: exported libraries compile this file in. */
#include "table_layout.h"

#include "bucket.h"

#include <stdlib.h>
#include <string.h>

enum { MATCHES_MAX = 8 };

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

bool at_table_pack_hash(const at_hash *hash, unsigned char *out)
{
    for (int i = 0; i < HASH_BYTES; i++) {
        int high = hex_digit(hash->hex[2 * i]);
        int low = high < 0 ? -1 : hex_digit(hash->hex[2 * i + 1]);
        if (low < 0)
            return false;
        out[i] = (unsigned char)(high << 4 | low);
    }
    return hash->hex[2 * HASH_BYTES] == '\0';
}

at_hash at_table_unpack_hash(const unsigned char *bytes)
{
    at_hash hash;
    for (int i = 0; i < HASH_BYTES; i++) {
        hash.hex[2 * i] = "0123456789abcdef"[bytes[i] >> 4];
        hash.hex[2 * i + 1] = "0123456789abcdef"[bytes[i] & 15];
    }
    hash.hex[2 * HASH_BYTES] = '\0';
    return hash;
}

at_table_key at_table_key_of(const at_hash *kernel, at_layout layout, actune_shape shape, bool in_place)
{
    at_table_key key = {.kernel = *kernel, .layout = layout, .in_place = in_place};
    key.size_bucket = at_size_bucket(shape.outer * shape.channels * shape.inner);
    if (layout != AT_LAYOUT_FLAT) {
        key.channel_bucket = at_size_bucket(shape.channels);
        key.inner_bucket = at_size_bucket(shape.inner);
    }
    return key;
}

at_table at_table_view(const void *bytes)
{
    const unsigned char *block = bytes;
    at_table view = {.kernels = block + HEADER_BYTES,
                     .kernel_count = get32(block + H_KERNELS),
                     .entry_count = get32(block + H_ENTRIES),
                     .text_bytes = get32(block + H_TEXT)};
    view.entries = view.kernels + (size_t)view.kernel_count * KERNEL_BYTES;
    view.text = (const char *)(view.entries + (size_t)view.entry_count * ENTRY_BYTES);
    return view;
}

static const unsigned char *find_kernel(const at_table *table, const at_hash *kernel)
{
    unsigned char wanted[HASH_BYTES];
    if (!at_table_pack_hash(kernel, wanted))
        return NULL;
    uint32_t low = 0, high = table->kernel_count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        int order = memcmp(kernel_at(table, middle), wanted, HASH_BYTES);
        if (order == 0)
            return kernel_at(table, middle);
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return NULL;
}

/* Smaller is nearer: layout buckets count before the size, and of two sizes equally far the smaller one wins. */
static int distance(const at_table_key *a, const at_table_key *b)
{
    int layout = abs(a->channel_bucket - b->channel_bucket) + abs(a->inner_bucket - b->inner_bucket);
    int size = 2 * abs(a->size_bucket - b->size_bucket) + (b->size_bucket > a->size_bucket);
    return layout * 4 * BUCKETS + size;
}

static at_table_fit fit_of(int difference)
{
    if (difference == 0)
        return AT_TABLE_EXACT;
    return difference < 4 * BUCKETS ? AT_TABLE_NEAREST_SIZE : AT_TABLE_OTHER_LAYOUT;
}

int at_table_find(const at_table *table, const at_table_key *key, at_table_match *matches, int max)
{
    const unsigned char *kernel = find_kernel(table, &key->kernel);
    int best[MATCHES_MAX], found = 0;
    if (kernel == NULL)
        return 0;
    if (max > MATCHES_MAX)
        max = MATCHES_MAX;
    uint32_t first = get32(kernel + K_FIRST), end = first + get32(kernel + K_COUNT);
    for (uint32_t i = first; i < end; i++) {
        const unsigned char *entry = entry_at(table, i);
        at_table_key here = key_of_entry(entry);
        if (here.layout != key->layout || here.in_place != key->in_place)
            continue;
        int far = distance(key, &here), place = found < max ? found : max;
        while (place > 0 && best[place - 1] > far)
            place--;
        if (place == max)
            continue;
        found += found < max;
        memmove(best + place + 1, best + place, sizeof *best * (size_t)(found - 1 - place));
        memmove(matches + place + 1, matches + place, sizeof *matches * (size_t)(found - 1 - place));
        best[place] = far;
        matches[place] = (at_table_match){
            .variant = table->text + get32(entry + E_VARIANT), .source_hash = at_table_unpack_hash(entry), .fit = fit_of(far)};
    }
    return found;
}
