#include "strbuf.h"

#include "number.h"
#include "status.h"
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Room for `more` bytes and the NUL. */
static bool reserve(at_strbuf *buffer, size_t more)
{
    if (buffer->failed)
        return false;
    if (more >= (size_t)1 << 40) {
        buffer->failed = true;
        return false;
    }
    if (buffer->capacity - buffer->length > more)
        return true;
    size_t capacity = buffer->capacity ? buffer->capacity : 256;
    while (capacity - buffer->length <= more)
        capacity *= 2;
    char *text = realloc(buffer->text, capacity);
    if (!text) {
        buffer->failed = true;
        return false;
    }
    buffer->text = text;
    buffer->capacity = capacity;
    return true;
}

void at_strbuf_clear(at_strbuf *buffer)
{
    free(buffer->text);
    *buffer = (at_strbuf){0};
}

void at_strbuf_append_n(at_strbuf *buffer, const char *text, size_t length)
{
    if (!reserve(buffer, length))
        return;
    memcpy(buffer->text + buffer->length, text, length);
    buffer->length += length;
    buffer->text[buffer->length] = 0;
}

void at_strbuf_append(at_strbuf *buffer, const char *text)
{
    at_strbuf_append_n(buffer, text, strlen(text));
}

void at_strbuf_char(at_strbuf *buffer, char c)
{
    at_strbuf_append_n(buffer, &c, 1);
}

void at_strbuf_printf(at_strbuf *buffer, const char *format, ...)
{
    va_list arguments, again;
    va_start(arguments, format);
    va_copy(again, arguments);
    int length = vsnprintf(NULL, 0, format, arguments);
    va_end(arguments);
    if (length < 0)
        buffer->failed = true;
    else if (reserve(buffer, (size_t)length)) {
        vsnprintf(buffer->text + buffer->length, (size_t)length + 1, format, again);
        buffer->length += (size_t)length;
    }
    va_end(again);
}

void at_strbuf_double(at_strbuf *buffer, double value)
{
    char text[AT_NUMBER_BYTES];
    at_number_print(value, text);
    at_strbuf_append(buffer, text);
}

const char *at_strbuf_text(const at_strbuf *buffer)
{
    return buffer->text ? buffer->text : "";
}

actune_status at_strbuf_status(const at_strbuf *buffer)
{
    return buffer->failed ? at_fail(ACTUNE_NO_MEMORY, "out of memory while building a text") : ACTUNE_OK;
}

char *at_strbuf_take(at_strbuf *buffer)
{
    char *text = NULL;
    if (reserve(buffer, 0)) {
        buffer->text[buffer->length] = 0;
        text = buffer->text;
        buffer->text = NULL;
    }
    at_strbuf_clear(buffer);
    return text;
}
