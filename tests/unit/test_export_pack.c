/* Packed GPU code: what comes out is what went in; damaged bytes are told and leave no array. */
#include "export/pack.h"
#include "export/support/expand.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

static unsigned state = 1;
static unsigned draw(void)
{
    state = state * 1664525u + 1013904223u;
    return state >> 8;
}

/* kind 0: one byte, 1: noise, 2: phrases with noise between, as code is. */
static unsigned char *make(int kind, size_t size)
{
    unsigned char *bytes = malloc(size + 1);
    for (size_t i = 0; i < size; i++)
        bytes[i] = kind == 0 ? 7 : kind == 1 ? (unsigned char)draw() : (unsigned char)(i % 16 < 13 ? i % 16 : draw());
    return bytes;
}

static void round_trip(int kind, size_t size)
{
    unsigned char *bytes = make(kind, size), *back = malloc(size + 1);
    at_strbuf packed = {0};
    at_export_pack(bytes, size, &packed);
    cr_assert_eq(at_strbuf_status(&packed), ACTUNE_OK);
    cr_assert(at_exported_expand((const unsigned char *)packed.text, packed.length, back, size) && !memcmp(bytes, back, size), "kind %d, %zu bytes", kind, size);
    cr_assert(kind != 0 || size < 1000 || packed.length < size / 100);
    /* Every single byte changed, and every cut: it may be other bytes of that size, it never is more. */
    for (size_t i = 0; i < packed.length && size < 400; i++) {
        unsigned char *damaged = malloc(packed.length);
        memcpy(damaged, packed.text, packed.length);
        damaged[i] ^= (unsigned char)(1 + draw() % 255);
        at_exported_expand(damaged, packed.length, back, size);
        cr_assert(!at_exported_expand((const unsigned char *)packed.text, i, back, size) || size == 0, "cut at %zu of %zu", i, packed.length);
        free(damaged);
    }
    at_strbuf_clear(&packed);
    free(bytes);
    free(back);
}

Test(export_pack, round_trips)
{
    static const size_t sizes[] = {0, 1, 3, 4, 5, 14, 15, 16, 19, 20, 270, 285, 399, 5000, 70000, 200000};
    for (int kind = 0; kind < 3; kind++)
        for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
            round_trip(kind, sizes[i]);
}
