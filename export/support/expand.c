#include "expand.h"

#include <string.h>

typedef struct reader {
    const unsigned char *at, *end;
} reader;

/* A nibble and what follows where it is 15. */
static bool read_length(reader *in, size_t nibble, size_t *length)
{
    *length = nibble;
    for (unsigned char more = 255; nibble == AT_PACK_NIBBLE && more == 255; *length += more) {
        if (in->at == in->end)
            return false;
        more = *in->at++;
    }
    return true;
}

static bool read_distance(reader *in, size_t *distance)
{
    if (in->end - in->at < 2)
        return false;
    *distance = (size_t)in->at[0] | (size_t)in->at[1] << 8;
    in->at += 2;
    return *distance > 0;
}

bool at_exported_expand(const unsigned char *from, size_t from_size, unsigned char *to, size_t size)
{
    reader in = {from, from + from_size};
    size_t done = 0, length, distance;
    while (in.at < in.end) {
        unsigned token = *in.at++;
        if (!read_length(&in, token >> 4, &length) || length > size - done || length > (size_t)(in.end - in.at))
            return false;
        memcpy(to + done, in.at, length);
        in.at += length;
        done += length;
        if (in.at == in.end)
            break;
        if (!read_distance(&in, &distance) || distance > done || !read_length(&in, token & AT_PACK_NIBBLE, &length))
            return false;
        length += AT_PACK_REPEAT_MIN;
        if (length > size - done)
            return false;
        for (size_t i = 0; i < length; i++, done++) /* a repetition may run into itself */
            to[done] = to[done - distance];
    }
    return done == size;
}
