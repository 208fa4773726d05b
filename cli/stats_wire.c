/* TensorBoard event files, read without protocol buffers' library: the program does not need one. Field numbers: monitor/event.proto. */
#include "stats_read.h"

#include <stdlib.h>
#include <string.h>

enum { EVENT_MAX = 64 << 20, SUMMARY = 5, VALUE = 1, TAG = 1, SIMPLE = 2, TENSOR = 8, STRING = 8 };

typedef struct span {
    const unsigned char *at, *end;
} span;

typedef struct field {
    uint64_t number, integer;
    span bytes; /* of wire types 1, 2 and 5 */
} field;

static bool varint(span *s, uint64_t *value)
{
    *value = 0;
    for (int shift = 0; shift < 64 && s->at < s->end; shift += 7) {
        unsigned char byte = *s->at++;
        *value |= (uint64_t)(byte & 0x7F) << shift;
        if (byte < 0x80)
            return true;
    }
    return false;
}

/* False at the end, and where the message is damaged. */
static bool next(span *s, field *f)
{
    uint64_t key, length;
    if (!varint(s, &key))
        return false;
    *f = (field){.number = key >> 3};
    if ((key & 7) == 0)
        return varint(s, &f->integer);
    if ((key & 7) == 1 || (key & 7) == 5)
        length = (key & 7) == 1 ? 8 : 4;
    else if ((key & 7) != 2 || !varint(s, &length))
        return false;
    if (length > (uint64_t)(s->end - s->at))
        return false;
    f->bytes = (span){s->at, s->at + length};
    s->at += length;
    return true;
}

static char *text_of(span s)
{
    return strndup((const char *)s.at, (size_t)(s.end - s.at));
}

static char *string_of(span tensor)
{
    field f;
    while (next(&tensor, &f))
        if (f.number == STRING && f.bytes.at)
            return text_of(f.bytes);
    return NULL;
}

static actune_status read_value(span s, const stats_sink *sink)
{
    field f;
    float simple = 0;
    bool has_simple = false;
    char *tag = NULL, *text = NULL;
    while (next(&s, &f)) {
        if (f.number == TAG && f.bytes.at && !tag)
            tag = text_of(f.bytes);
        else if (f.number == SIMPLE && f.bytes.end - f.bytes.at == 4) {
            memcpy(&simple, f.bytes.at, 4);
            has_simple = true;
        } else if (f.number == TENSOR && f.bytes.at && !text)
            text = string_of(f.bytes);
    }
    actune_status status = ACTUNE_OK;
    if (tag && has_simple)
        status = sink->value(sink->user, tag, (double)simple);
    else if (tag && text)
        status = sink->text(sink->user, tag, text);
    free(tag);
    free(text);
    return status;
}

static actune_status read_event(span event, const stats_sink *sink)
{
    field f, value;
    while (next(&event, &f))
        if (f.number == SUMMARY)
            while (next(&f.bytes, &value))
                if (value.number == VALUE && value.bytes.at)
                    AT_TRY(read_value(value.bytes, sink));
    return ACTUNE_OK;
}

actune_status stats_read_events(const char *path, FILE *from, const stats_sink *sink)
{
    unsigned char head[12], tail[4];
    actune_status status = ACTUNE_OK;
    for (long record = 0; !status && fread(head, 1, sizeof head, from) == sizeof head; record++) {
        uint64_t length = 0;
        for (int i = 7; i >= 0; i--)
            length = length << 8 | head[i];
        if (length > EVENT_MAX)
            return at_fail(ACTUNE_SYNTAX, "%s: record %ld is no TensorBoard event; give an events.out.tfevents file, or lines of JSON", path, record);
        unsigned char *body = malloc(length + 1);
        if (!body)
            return at_fail(ACTUNE_NO_MEMORY, "%s: no memory for an event of %llu bytes", path, (unsigned long long)length);
        bool whole = fread(body, 1, length, from) == length && fread(tail, 1, sizeof tail, from) == sizeof tail;
        if (whole)
            status = read_event((span){body, body + length}, sink);
        free(body);
        if (!whole)
            break; /* still being written */
    }
    return status;
}
