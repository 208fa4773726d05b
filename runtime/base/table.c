#include "table_layout.h"

#include "status.h"

#include <stdlib.h>
#include <string.h>

enum { CHECKED_FROM = 32 };

static const char magic[8] = {'a', 'c', 't', 'u', 'n', 'e', 't', 'b'};

static void put(unsigned char *at, uint64_t value, int bytes)
{
    for (int i = 0; i < bytes; i++)
        at[i] = (unsigned char)(value >> (8 * i));
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
        if (!at_table_pack_hash(&key->kernel, hash) || !at_table_pack_hash(&rows[i].source_hash, hash))
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
    at_table_pack_hash(&row->source_hash, entry);
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
            at_table_pack_hash(&rows[i].key.kernel, kernel);
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
    at_table view = at_table_view(block);
    /* Three products below 2^37 each: no overflow. */
    uint64_t kernels = (uint64_t)view.kernel_count * KERNEL_BYTES, entries = (uint64_t)view.entry_count * ENTRY_BYTES;
    if (HEADER_BYTES + kernels + entries + view.text_bytes != size)
        return damaged("its parts do not add up");
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

at_table_row at_table_get(const at_table *table, uint32_t index)
{
    const unsigned char *entry = entry_at(table, index);
    at_table_row row = {.key = key_of_entry(entry), .source_hash = at_table_unpack_hash(entry)};
    row.key.kernel = at_table_unpack_hash(owner_of(table, index));
    row.variant = table->text + get32(entry + E_VARIANT);
    return row;
}
