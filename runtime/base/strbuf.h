/* A growing text. Failure is sticky: append freely, ask once with at_strbuf_status. */
#ifndef AT_BASE_STRBUF_H
#define AT_BASE_STRBUF_H

#include <actune/actune.h>
#include <stdbool.h>
#include <stddef.h>

typedef struct at_strbuf {
    char *text; /* NUL-terminated once anything was appended; NULL when empty */
    size_t length, capacity;
    bool failed;
} at_strbuf;

/* `{0}` is an empty text. */
void at_strbuf_clear(at_strbuf *buffer);
void at_strbuf_append(at_strbuf *buffer, const char *text);
void at_strbuf_append_n(at_strbuf *buffer, const char *text, size_t length);
void at_strbuf_char(at_strbuf *buffer, char c);
void at_strbuf_printf(at_strbuf *buffer, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* The shortest decimal text that reads back as the same double ("0.1", "inf", "-inf", "nan"). */
void at_strbuf_double(at_strbuf *buffer, double value);
/* The text, "" when empty; owned by the buffer. */
const char *at_strbuf_text(const at_strbuf *buffer);
/* ACTUNE_NO_MEMORY when any append failed. */
actune_status at_strbuf_status(const at_strbuf *buffer);
/* Hands the text to the caller (free with free()), leaves the buffer empty; NULL when memory was out. */
char *at_strbuf_take(at_strbuf *buffer);

#endif
