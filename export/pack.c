#include "pack.h"

#include "support/expand.h"

#include <stdint.h>
#include <string.h>

enum { PLACES_BITS = 13, PLACES = 1 << PLACES_BITS };

static unsigned place_of(const unsigned char *at)
{
    uint32_t word;
    memcpy(&word, at, sizeof word);
    return word * UINT32_C(2654435761) >> (32 - PLACES_BITS);
}

static void append_length(at_strbuf *out, size_t length)
{
    if (length < AT_PACK_NIBBLE)
        return;
    for (length -= AT_PACK_NIBBLE; length >= 255; length -= 255)
        at_strbuf_char(out, (char)255);
    at_strbuf_char(out, (char)length);
}

static unsigned nibble(size_t length)
{
    return length < AT_PACK_NIBBLE ? (unsigned)length : AT_PACK_NIBBLE;
}

/* `plain` bytes as they are, then (repeat > 0) a repetition. */
static void append_token(at_strbuf *out, const unsigned char *plain, size_t count, size_t repeat, size_t distance)
{
    at_strbuf_char(out, (char)(nibble(count) << 4 | (repeat > 0 ? nibble(repeat - AT_PACK_REPEAT_MIN) : 0)));
    append_length(out, count);
    at_strbuf_append_n(out, (const char *)plain, count);
    if (repeat == 0)
        return;
    at_strbuf_char(out, (char)(distance & 255));
    at_strbuf_char(out, (char)(distance >> 8));
    append_length(out, repeat - AT_PACK_REPEAT_MIN);
}

void at_export_pack(const void *bytes, size_t size, at_strbuf *out)
{
    const unsigned char *text = bytes;
    size_t last[PLACES] = {0}; /* where four bytes of that hash stood last, plus 1 */
    size_t plain = 0, at = 0;
    while (size >= AT_PACK_REPEAT_MIN && at <= size - AT_PACK_REPEAT_MIN) {
        unsigned place = place_of(text + at);
        size_t before = last[place];
        last[place] = at + 1;
        if (before == 0 || at + 1 - before > AT_PACK_DISTANCE_MAX || memcmp(text + before - 1, text + at, AT_PACK_REPEAT_MIN) != 0) {
            at++;
            continue;
        }
        size_t distance = at + 1 - before, repeat = AT_PACK_REPEAT_MIN;
        while (at + repeat < size && text[at + repeat] == text[at + repeat - distance])
            repeat++;
        append_token(out, text + plain, at - plain, repeat, distance);
        at += repeat;
        plain = at;
    }
    if (plain < size || size == 0)
        append_token(out, text + plain, size - plain, 0, 0);
}
