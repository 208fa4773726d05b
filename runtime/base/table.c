#include "table.h"

#include "bucket.h"
#include "status.h"

#include <stdlib.h>
#include <string.h>

enum {
    HEADER_BYTES = 48,
    CHECKED_FROM = 32,
    HASH_BYTES = 16,
    KERNEL_BYTES = HASH_BYTES + 8,
    ENTRY_BYTES = 32,
    BUCKETS = 64,
    MATCHES_MAX = 8
};

static const char magic[8] = {'a', 'c', 't', 'u', 'n', 'e', 't', 'b'};

/* Fields of a header, a kernel and an entry, as offsets. */
enum { H_VERSION = 8, H_SIZE = 16, H_CHECKSUM = 24, H_KERNELS = 32, H_ENTRIES = 36, H_TEXT = 40 };
enum { K_FIRST = HASH_BYTES, K_COUNT = HASH_BYTES + 4 };
enum { E_VARIANT = HASH_BYTES, E_SIZE = 20, E_CHANNEL, E_INNER, E_LAYOUT, E_IN_PLACE };

static void put(unsigned char *at, uint64_t value, int bytes)
{
    for (int i = 0; i < bytes; i++)
        at[i] = (unsigned char)(value >> (8 * i));
}

static uint64_t get(const unsigned char *at, int bytes)
{
    uint64_t value = 0;
    for (int i = 0; i < bytes; i++)
        value |= (uint64_t)at[i] << (8 * i);
    return value;
}

static uint32_t get32(const unsigned char *at)
{
    return (uint32_t)get(at, 4);
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool pack_hash(const at_hash *hash, unsigned char *out)
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

static at_hash unpack_hash(const unsigned char *bytes)
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

/* Everything of a key in one order, which is that of the table. */
static int compare_keys(const at_table_key *a, const at_table_key *b)
{
    int order = strcmp(a->kernel.hex, b->kernel.hex);
    if (order != 0)
        return order;
    const int difference[] = {(int)a->in_place - (int)b->in_place, (int)a->layout - (int)b->layout,
                              a->channel_bucket - b->channel_bucket, a->inner_bucket - b->inner_bucket,
                              a->size_bucket - b->size_bucket};
    for (size_t i = 0; i < sizeof difference / sizeof *difference; i++)
        if (difference[i] != 0)
            return difference[i];
    return 0;
}

static int compare_rows(const void *left, const void *right)
{
    const at_table_row *a = left, *b = right;
    int order = compare_keys(&a->key, &b->key);
    return order != 0 ? order : a->rank - b->rank;
}

static bool is_bucket(int value)
{
    return value >= 0 && value < BUCKETS;
}

static actune_status check_rows(const at_table_row *rows, int count)
{
    unsigned char hash[HASH_BYTES];
    for (int i = 0; i < count; i++) {
        const at_table_key *key = &rows[i].key;
        if (!pack_hash(&key->kernel, hash) || !pack_hash(&rows[i].source_hash, hash))
            return at_fail(ACTUNE_INVALID_ARGUMENT,
                           "row %d of the dispatch table: a hash is not 32 lower-case hex digits", i);
        if (!is_bucket(key->size_bucket) || !is_bucket(key->channel_bucket) || !is_bucket(key->inner_bucket) ||
            (unsigned)key->layout > AT_LAYOUT_CHANNEL_OUTER)
            return at_fail(ACTUNE_INVALID_ARGUMENT, "row %d of the dispatch table: bucket or layout out of range", i);
    }
    return ACTUNE_OK;
}

/* Keeps the first of the rows with one key. */
static int drop_doubles(at_table_row *rows, int count)
{
    int kept = 0;
    for (int i = 0; i < count; i++)
        if (kept == 0 || compare_keys(&rows[kept - 1].key, &rows[i].key) != 0)
            rows[kept++] = rows[i];
    return kept;
}

static bool same_kernel(const at_table_row *rows, int i)
{
    return i > 0 && strcmp(rows[i].key.kernel.hex, rows[i - 1].key.kernel.hex) == 0;
}

/* Neighbours in the table mostly have one winner: it is written once. */
static bool same_variant(const at_table_row *rows, int i)
{
    return i > 0 && strcmp(rows[i].variant, rows[i - 1].variant) == 0;
}

static void write_entry(const at_table_row *row, uint32_t variant, unsigned char *entry)
{
    pack_hash(&row->source_hash, entry);
    put(entry + E_VARIANT, variant, 4);
    entry[E_SIZE] = (unsigned char)row->key.size_bucket;
    entry[E_CHANNEL] = (unsigned char)row->key.channel_bucket;
    entry[E_INNER] = (unsigned char)row->key.inner_bucket;
    entry[E_LAYOUT] = (unsigned char)row->key.layout;
    entry[E_IN_PLACE] = row->key.in_place;
}

static void write_block(const at_table_row *rows, int count, const uint32_t *sizes, unsigned char *block)
{
    unsigned char *kernel = block + HEADER_BYTES;
    unsigned char *entry = kernel + (size_t)sizes[0] * KERNEL_BYTES;
    unsigned char *text = entry + (size_t)count * ENTRY_BYTES;
    uint32_t written = 0, variant = 0;
    kernel -= KERNEL_BYTES;
    for (int i = 0; i < count; i++, entry += ENTRY_BYTES) {
        if (!same_kernel(rows, i)) {
            kernel += KERNEL_BYTES;
            pack_hash(&rows[i].key.kernel, kernel);
            put(kernel + K_FIRST, (uint64_t)i, 4);
        }
        put(kernel + K_COUNT, get32(kernel + K_COUNT) + 1, 4);
        if (!same_variant(rows, i)) {
            size_t bytes = strlen(rows[i].variant) + 1;
            memcpy(text + written, rows[i].variant, bytes);
            variant = written;
            written += (uint32_t)bytes;
        }
        write_entry(&rows[i], variant, entry);
    }
}

actune_status at_table_build(at_table_row *rows, int count, unsigned char **bytes, size_t *size)
{
    *bytes = NULL;
    *size = 0;
    AT_TRY(check_rows(rows, count));
    if (count > 0)
        qsort(rows, (size_t)count, sizeof *rows, compare_rows);
    count = drop_doubles(rows, count);
    uint32_t sizes[2] = {0, 0}; /* kernels, text */
    for (int i = 0; i < count; i++) {
        size_t text = same_variant(rows, i) ? 0 : strlen(rows[i].variant) + 1;
        sizes[0] += !same_kernel(rows, i);
        if (text > UINT32_MAX / 2 - sizes[1])
            return at_fail(ACTUNE_INVALID_ARGUMENT, "the dispatch table's texts exceed 2 GiB");
        sizes[1] += (uint32_t)text;
    }
    size_t total = HEADER_BYTES + (size_t)sizes[0] * KERNEL_BYTES + (size_t)count * ENTRY_BYTES + sizes[1];
    unsigned char *block = calloc(1, total);
    if (block == NULL)
        return at_fail(ACTUNE_NO_MEMORY, "no memory for a dispatch table of %zu bytes", total);
    write_block(rows, count, sizes, block);
    memcpy(block, magic, sizeof magic);
    put(block + H_VERSION, AT_TABLE_VERSION, 4);
    put(block + H_SIZE, total, 8);
    put(block + H_KERNELS, sizes[0], 4);
    put(block + H_ENTRIES, (uint64_t)count, 4);
    put(block + H_TEXT, sizes[1], 4);
    put(block + H_CHECKSUM, at_hash64(block + CHECKED_FROM, total - CHECKED_FROM), 8);
    *bytes = block;
    *size = total;
    return ACTUNE_OK;
}

static actune_status damaged(const char *what)
{
    return at_fail(ACTUNE_INVALID_ARGUMENT, "the dispatch table is damaged: %s; write it again", what);
}

static actune_status check_header(const unsigned char *block, size_t size)
{
    if (size < HEADER_BYTES || memcmp(block, magic, sizeof magic) != 0)
        return at_fail(ACTUNE_INVALID_ARGUMENT, "this is no dispatch table of actune");
    if (get32(block + H_VERSION) != AT_TABLE_VERSION)
        return at_fail(ACTUNE_INVALID_ARGUMENT,
                       "the dispatch table has version %u, this library reads version %d; write it again",
                       get32(block + H_VERSION), AT_TABLE_VERSION);
    if (get32(block + H_VERSION + 4) != 0)
        return damaged("a reserved field is set");
    if (get(block + H_SIZE, 8) != size)
        return damaged("its length is not what it says");
    if (get(block + H_CHECKSUM, 8) != at_hash64(block + CHECKED_FROM, size - CHECKED_FROM))
        return damaged("its checksum does not match");
    return ACTUNE_OK;
}

static const unsigned char *kernel_at(const at_table *table, uint32_t index)
{
    return table->kernels + (size_t)index * KERNEL_BYTES;
}

static const unsigned char *entry_at(const at_table *table, uint32_t index)
{
    return table->entries + (size_t)index * ENTRY_BYTES;
}

/* The checksum finds accidents; these checks keep readers inside the block whatever it says. */
static actune_status check_contents(const at_table *table)
{
    uint32_t next = 0;
    for (uint32_t i = 0; i < table->kernel_count; i++) {
        const unsigned char *kernel = kernel_at(table, i);
        if (i > 0 && memcmp(kernel_at(table, i - 1), kernel, HASH_BYTES) >= 0)
            return damaged("its kernels are not in order");
        if (get32(kernel + K_FIRST) != next || get32(kernel + K_COUNT) > table->entry_count - next)
            return damaged("a kernel's entries are out of range");
        next += get32(kernel + K_COUNT);
    }
    if (next != table->entry_count)
        return damaged("entries belong to no kernel");
    for (uint32_t i = 0; i < table->entry_count; i++) {
        const unsigned char *entry = entry_at(table, i);
        if (get32(entry + E_VARIANT) >= table->text_bytes || entry[E_LAYOUT] > AT_LAYOUT_CHANNEL_OUTER ||
            entry[E_IN_PLACE] > 1 || entry[E_SIZE] >= BUCKETS || entry[E_CHANNEL] >= BUCKETS ||
            entry[E_INNER] >= BUCKETS)
            return damaged("an entry is out of range");
    }
    if (table->text_bytes > 0 && table->text[table->text_bytes - 1] != '\0')
        return damaged("its last text does not end");
    return ACTUNE_OK;
}

actune_status at_table_open(const void *bytes, size_t size, at_table *table)
{
    const unsigned char *block = bytes;
    *table = (at_table){0};
    AT_TRY(check_header(block, size));
    at_table view = {.kernels = block + HEADER_BYTES,
                     .kernel_count = get32(block + H_KERNELS),
                     .entry_count = get32(block + H_ENTRIES),
                     .text_bytes = get32(block + H_TEXT)};
    /* Three products below 2^37 each: no overflow. */
    uint64_t kernels = (uint64_t)view.kernel_count * KERNEL_BYTES, entries = (uint64_t)view.entry_count * ENTRY_BYTES;
    if (HEADER_BYTES + kernels + entries + view.text_bytes != size)
        return damaged("its parts do not add up");
    view.entries = view.kernels + kernels;
    view.text = (const char *)(view.entries + entries);
    AT_TRY(check_contents(&view));
    *table = view;
    return ACTUNE_OK;
}

/* The kernel that entry `index` belongs to: the last one that starts at or before it. */
static const unsigned char *owner_of(const at_table *table, uint32_t index)
{
    uint32_t low = 0, high = table->kernel_count;
    while (high - low > 1) {
        uint32_t middle = low + (high - low) / 2;
        if (get32(kernel_at(table, middle) + K_FIRST) <= index)
            low = middle;
        else
            high = middle;
    }
    return kernel_at(table, low);
}

static at_table_key key_of_entry(const unsigned char *entry)
{
    return (at_table_key){.layout = (at_layout)entry[E_LAYOUT],
                          .size_bucket = entry[E_SIZE],
                          .channel_bucket = entry[E_CHANNEL],
                          .inner_bucket = entry[E_INNER],
                          .in_place = entry[E_IN_PLACE] != 0};
}

at_table_row at_table_get(const at_table *table, uint32_t index)
{
    const unsigned char *entry = entry_at(table, index);
    at_table_row row = {.key = key_of_entry(entry), .source_hash = unpack_hash(entry)};
    row.key.kernel = unpack_hash(owner_of(table, index));
    row.variant = table->text + get32(entry + E_VARIANT);
    return row;
}

static const unsigned char *find_kernel(const at_table *table, const at_hash *kernel)
{
    unsigned char wanted[HASH_BYTES];
    if (!pack_hash(kernel, wanted))
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
            .variant = table->text + get32(entry + E_VARIANT), .source_hash = unpack_hash(entry), .fit = fit_of(far)};
    }
    return found;
}
