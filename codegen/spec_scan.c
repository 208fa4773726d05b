#include "spec_scan.h"

#include "../runtime/base/strbuf.h"
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { SHOWN_BEFORE = 70, SHOWN_AFTER = 50 }; /* of the line around the caret */

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static bool is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static size_t line_start(const at_scan *scan, size_t at)
{
    while (at > 0 && scan->text[at - 1] != '\n')
        at--;
    return at;
}

int at_scan_column(const at_scan *scan, size_t at)
{
    return (int)(at - line_start(scan, at)) + 1;
}

/* The part of the line around `at`, one byte shown as one character, and the caret line. */
static void show(const at_scan *scan, size_t at, at_strbuf *out)
{
    size_t first = line_start(scan, at), last = at, caret;
    bool cut_first = at - first > SHOWN_BEFORE;
    if (cut_first)
        first = at - SHOWN_BEFORE;
    while (last < scan->length && scan->text[last] != '\n' && last - at < SHOWN_AFTER)
        last++;
    at_strbuf_append(out, cut_first ? "  ..." : "  ");
    for (size_t i = first; i < last; i++) {
        char c = scan->text[i];
        at_strbuf_char(out, is_blank(c) ? ' ' : c < ' ' || c > '~' ? '?' : c);
    }
    if (last < scan->length && scan->text[last] != '\n')
        at_strbuf_append(out, "...");
    at_strbuf_append(out, cut_first ? "\n     " : "\n  ");
    for (caret = first; caret < at; caret++)
        at_strbuf_char(out, ' ');
    at_strbuf_char(out, '^');
}

actune_status at_scan_fail(const at_scan *scan, size_t at, actune_status code, const char *format, ...)
{
    char message[1024];
    at_strbuf shown = {0};
    int line = 1;
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(message, sizeof message, format, arguments);
    va_end(arguments);
    for (size_t i = 0; i < at && i < scan->length; i++)
        line += scan->text[i] == '\n';
    show(scan, at, &shown);
    at_fail(code, "spec:%d:%d: %s\n%s", line, at_scan_column(scan, at), message, at_strbuf_text(&shown));
    at_strbuf_clear(&shown);
    return code;
}

char at_scan_peek(at_scan *scan)
{
    while (scan->at < scan->length && is_blank(scan->text[scan->at]))
        scan->at++;
    return scan->at < scan->length ? scan->text[scan->at] : 0;
}

bool at_scan_take(at_scan *scan, char c)
{
    if (at_scan_peek(scan) != c)
        return false;
    scan->at++;
    return true;
}

static at_slice take_length(at_scan *scan, size_t length)
{
    at_slice slice = {scan->text + scan->at, length};
    scan->at += length;
    return slice;
}

at_slice at_scan_name(at_scan *scan)
{
    size_t length = 0;
    if (is_letter(at_scan_peek(scan)))
        for (; scan->at + length < scan->length; length++) {
            char c = scan->text[scan->at + length];
            if (!is_letter(c) && !is_digit(c))
                break;
        }
    return take_length(scan, length);
}

at_slice at_scan_value(at_scan *scan)
{
    size_t length = 0;
    char first = at_scan_peek(scan), before = 0;
    bool is_word = is_letter(first);
    for (; scan->at + length < scan->length; length++) {
        char c = scan->text[scan->at + length];
        bool is_sign = c == '+' || c == '-';
        if (is_sign ? length > 0 && (is_word || (before != 'e' && before != 'E'))
                    : !is_letter(c) && !is_digit(c) && c != '.')
            break;
        before = c;
    }
    return take_length(scan, length);
}

at_slice at_scan_until(at_scan *scan, const char *stops)
{
    size_t length = 0;
    for (; scan->at + length < scan->length; length++) {
        char c = scan->text[scan->at + length];
        if (is_blank(c) || strchr(stops, c))
            break;
    }
    return take_length(scan, length);
}

bool at_slice_lower(at_slice slice, char *out, size_t bytes)
{
    if (slice.length >= bytes)
        return false;
    for (size_t i = 0; i < slice.length; i++) {
        char c = slice.text[i];
        out[i] = c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
    }
    out[slice.length] = 0;
    return true;
}

bool at_slice_is(at_slice slice, const char *word)
{
    return strlen(word) == slice.length && !memcmp(slice.text, word, slice.length);
}

/* ASCII only: tolower and strncasecmp follow the locale (a Turkish I is another letter). */
bool at_slice_is_any(at_slice slice, const char *word)
{
    if (strlen(word) != slice.length)
        return false;
    for (size_t i = 0; i < slice.length; i++) {
        char a = slice.text[i], b = word[i];
        a = a >= 'A' && a <= 'Z' ? (char)(a + 32) : a;
        b = b >= 'A' && b <= 'Z' ? (char)(b + 32) : b;
        if (a != b)
            return false;
    }
    return true;
}
