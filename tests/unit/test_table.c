#include "runtime/base/table.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static at_hash hash_of(int number)
{
    char text[16];
    snprintf(text, sizeof text, "kernel %d", number);
    return at_hash_text(text);
}

static at_table_row row_of(int kernel, at_layout layout, int size, int channel, int inner, const char *variant)
{
    return (at_table_row){.key = {.kernel = hash_of(kernel),
                                  .layout = layout,
                                  .size_bucket = size,
                                  .channel_bucket = channel,
                                  .inner_bucket = inner},
                          .variant = variant,
                          .source_hash = at_hash_text(variant)};
}

static void build(at_table_row *rows, int count, unsigned char **bytes, at_table *table, size_t *size)
{
    cr_assert_eq(at_table_build(rows, count, bytes, size), ACTUNE_OK, "%s", actune_last_error());
    cr_assert_eq(at_table_open(*bytes, *size, table), ACTUNE_OK, "%s", actune_last_error());
}

Test(table, empty_and_full_tables_read_back)
{
    enum { KERNELS = 40, SIZES = 25 };
    at_table table;
    unsigned char *bytes;
    size_t size;
    build(NULL, 0, &bytes, &table, &size);
    cr_assert_eq(table.entry_count, 0);
    at_table_match match;
    at_table_key key = {.kernel = hash_of(1)};
    cr_assert_eq(at_table_find(&table, &key, &match, 1), 0);
    free(bytes);

    static at_table_row rows[KERNELS * SIZES];
    static char text[KERNELS * SIZES][32];
    for (int i = 0; i < KERNELS * SIZES; i++) {
        snprintf(text[i], sizeof text[i], "variant %d", i / 3);
        rows[i] = row_of(i % KERNELS, AT_LAYOUT_FLAT, i / KERNELS, 0, 0, text[i]);
    }
    build(rows, KERNELS * SIZES, &bytes, &table, &size);
    cr_assert_eq(table.entry_count, KERNELS * SIZES);
    cr_assert_eq(table.kernel_count, KERNELS);
    for (int i = 0; i < KERNELS * SIZES; i++) {
        key = (at_table_key){.kernel = hash_of(i % KERNELS), .size_bucket = i / KERNELS};
        cr_assert_eq(at_table_find(&table, &key, &match, 1), 1);
        cr_assert_eq(match.fit, AT_TABLE_EXACT);
        cr_assert_str_eq(match.variant, text[i]);
        cr_assert_str_eq(match.source_hash.hex, at_hash_text(text[i]).hex);
    }
    for (uint32_t i = 0; i < table.entry_count; i++) {
        at_table_row row = at_table_get(&table, i); /* rows were sorted in place, into the table's order */
        cr_assert_str_eq(row.key.kernel.hex, rows[i].key.kernel.hex);
        cr_assert_str_eq(row.variant, rows[i].variant);
        cr_assert_eq(row.key.size_bucket, rows[i].key.size_bucket);
    }
    key.kernel = hash_of(KERNELS + 1);
    cr_assert_eq(at_table_find(&table, &key, &match, 1), 0);
    free(bytes);
}

Test(table, nearest_first)
{
    at_table_row rows[] = {
        row_of(1, AT_LAYOUT_FLAT, 10, 0, 0, "f10"),
        row_of(1, AT_LAYOUT_FLAT, 14, 0, 0, "f14"),
        row_of(1, AT_LAYOUT_FLAT, 20, 0, 0, "f20"),
        row_of(1, AT_LAYOUT_CHANNEL_INNER, 16, 8, 0, "i16c8"),
        row_of(1, AT_LAYOUT_CHANNEL_INNER, 20, 10, 0, "i20c10"),
        row_of(1, AT_LAYOUT_CHANNEL_INNER, 22, 10, 0, "i22c10"),
        row_of(1, AT_LAYOUT_CHANNEL_OUTER, 20, 6, 12, "o20c6i12"),
        row_of(2, AT_LAYOUT_FLAT, 10, 0, 0, "other"),
        row_of(1, AT_LAYOUT_FLAT, 12, 0, 0, "in place"),
    };
    rows[8].key.in_place = true;
    static const struct {
        at_table_key key;
        const char *variant[3];
        at_table_fit fit;
    } cases[] = {
        {{.size_bucket = 14}, {"f14", "f10", "f20"}, AT_TABLE_EXACT},
        {{.size_bucket = 13}, {"f14", "f10", "f20"}, AT_TABLE_NEAREST_SIZE},
        {{.size_bucket = 12}, {"f10", "f14", "f20"}, AT_TABLE_NEAREST_SIZE}, /* the smaller at a tie */
        {{.size_bucket = 17}, {"f14", "f20", "f10"}, AT_TABLE_NEAREST_SIZE},
        {{.size_bucket = 40}, {"f20", "f14", "f10"}, AT_TABLE_NEAREST_SIZE},
        {{.size_bucket = 40, .in_place = true}, {"in place"}, AT_TABLE_NEAREST_SIZE},
        {{.layout = AT_LAYOUT_CHANNEL_INNER, .size_bucket = 20, .channel_bucket = 10},
         {"i20c10", "i22c10", "i16c8"},
         AT_TABLE_EXACT},
        {{.layout = AT_LAYOUT_CHANNEL_INNER, .size_bucket = 16, .channel_bucket = 10},
         {"i20c10", "i22c10", "i16c8"},
         AT_TABLE_NEAREST_SIZE},
        {{.layout = AT_LAYOUT_CHANNEL_INNER, .size_bucket = 24, .channel_bucket = 8},
         {"i16c8", "i22c10", "i20c10"},
         AT_TABLE_NEAREST_SIZE},
        {{.layout = AT_LAYOUT_CHANNEL_INNER, .size_bucket = 30, .channel_bucket = 5},
         {"i16c8", "i22c10", "i20c10"},
         AT_TABLE_OTHER_LAYOUT},
        {{.layout = AT_LAYOUT_CHANNEL_OUTER, .size_bucket = 20, .channel_bucket = 7, .inner_bucket = 3},
         {"o20c6i12"},
         AT_TABLE_OTHER_LAYOUT},
    };
    unsigned char *bytes;
    size_t size;
    at_table table;
    build(rows, sizeof rows / sizeof *rows, &bytes, &table, &size);
    for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
        int expected = 0;
        while (expected < 3 && cases[c].variant[expected] != NULL)
            expected++;
        at_table_key key = cases[c].key;
        key.kernel = hash_of(1);
        for (int max = 0; max < 8; max++) {
            at_table_match match[8];
            int found = at_table_find(&table, &key, match, max);
            cr_assert_eq(found, max < expected ? max : expected, "case %zu: %d", c, found);
            for (int i = 0; i < found; i++)
                cr_assert_str_eq(match[i].variant, cases[c].variant[i], "case %zu, place %d: %s", c, i,
                                 match[i].variant);
            cr_assert(found == 0 || match[0].fit == cases[c].fit, "case %zu", c);
        }
    }
    free(bytes);
}

Test(table, keys_of_shapes)
{
    at_hash kernel = hash_of(1);
    at_table_key key = at_table_key_of(&kernel, AT_LAYOUT_FLAT, (actune_shape){4, 256, 1024}, true);
    cr_assert(key.size_bucket == 20 && key.channel_bucket == 0 && key.inner_bucket == 0 && key.in_place);
    key = at_table_key_of(&kernel, AT_LAYOUT_CHANNEL_OUTER, (actune_shape){4, 250, 1030}, false);
    cr_assert(key.size_bucket == 20 && key.channel_bucket == 8 && key.inner_bucket == 10 && !key.in_place);
    key = at_table_key_of(&kernel, AT_LAYOUT_CHANNEL_INNER, (actune_shape){0, 250, 1}, false);
    cr_assert(key.size_bucket == 0 && key.channel_bucket == 8 && key.inner_bucket == 0);
}

Test(table, one_row_a_key_and_bad_rows)
{
    at_table_row rows[] = {row_of(1, 0, 10, 0, 0, "worse"), row_of(1, 0, 10, 0, 0, "better"),
                           row_of(1, 0, 10, 0, 0, "worst")};
    rows[0].rank = 1;
    rows[2].rank = 2;
    unsigned char *bytes;
    size_t size;
    at_table table;
    build(rows, 3, &bytes, &table, &size);
    cr_assert_eq(table.entry_count, 1);
    cr_assert_str_eq(at_table_get(&table, 0).variant, "better");
    free(bytes);

    for (int bad = 0; bad < 7; bad++) {
        at_table_row row = row_of(1, AT_LAYOUT_FLAT, 10, 0, 0, "v");
        switch (bad) {
        case 0:
            row.key.size_bucket = 64;
            break;
        case 1:
            row.key.channel_bucket = -1;
            break;
        case 2:
            row.key.inner_bucket = 64;
            break;
        case 3:
            row.key.layout = (at_layout)3;
            break;
        case 4:
            row.key.kernel.hex[31] = 'G';
            break;
        case 5:
            row.key.kernel.hex[0] = '\0';
            break;
        case 6:
            row.source_hash.hex[5] = 'A';
            break;
        }
        cr_assert_eq(at_table_build(&row, 1, &bytes, &size), ACTUNE_INVALID_ARGUMENT, "case %d", bad);
        cr_assert_null(bytes);
    }
}

/* Reads all there is: with the sanitizers on, a step outside of the block is a crash. */
static void read_all(const at_table *table)
{
    size_t length = 0;
    for (uint32_t i = 0; i < table->entry_count; i++) {
        at_table_row row = at_table_get(table, i);
        length += strlen(row.variant);
        at_table_match match[8];
        at_table_find(table, &row.key, match, 8);
    }
    cr_assert_lt(length, 1u << 20);
}

static void seal(unsigned char *bytes, size_t size)
{
    uint64_t sum = at_hash64(bytes + 32, size - 32);
    for (int i = 0; i < 8; i++)
        bytes[24 + i] = (unsigned char)(sum >> (8 * i));
}

Test(table, damage_is_an_error_and_never_a_crash)
{
    at_table_row rows[12];
    for (int i = 0; i < 12; i++)
        rows[i] = row_of(i % 4, (at_layout)(i % 3), i, i % 5, i % 2, i < 6 ? "some variant" : "another one");
    unsigned char *good;
    size_t size;
    at_table table;
    build(rows, 12, &good, &table, &size);
    unsigned char *bytes = malloc(size); /* exactly as long, so that ASan sees a step beyond */
    for (size_t bit = 0; bit < size * 8; bit++) {
        memcpy(bytes, good, size);
        bytes[bit / 8] ^= (unsigned char)(1u << bit % 8);
        cr_assert_eq(at_table_open(bytes, size, &table), ACTUNE_INVALID_ARGUMENT, "bit %zu went unnoticed", bit);
        cr_assert_eq(table.entry_count, 0);
        seal(bytes, size); /* a liar with a right checksum may pass, but must not lead readers astray */
        if (at_table_open(bytes, size, &table) == ACTUNE_OK)
            read_all(&table);
    }
    unsigned seed = 1;
    for (int round = 0; round < 20000; round++) {
        memcpy(bytes, good, size);
        for (int i = 0; i < 1 + round % 6; i++) {
            seed = seed * 1664525u + 1013904223u;
            bytes[8 + (seed >> 8) % (size - 8)] = (unsigned char)(round % 3 == 0   ? 0xff
                                                                  : round % 3 == 1 ? 0
                                                                                   : seed >> 24);
        }
        seal(bytes, size);
        if (at_table_open(bytes, size, &table) == ACTUNE_OK)
            read_all(&table);
    }
    free(bytes);
    for (size_t cut = 0; cut < size; cut++) {
        bytes = malloc(cut + 1);
        memcpy(bytes, good, cut);
        cr_assert_eq(at_table_open(bytes, cut, &table), ACTUNE_INVALID_ARGUMENT);
        free(bytes);
    }
    good[8] = AT_TABLE_VERSION + 1;
    cr_assert_eq(at_table_open(good, size, &table), ACTUNE_INVALID_ARGUMENT);
    cr_assert(strstr(actune_last_error(), "version") != NULL);
    free(good);
}
