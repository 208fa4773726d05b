#include "clang_source.h"

#include <stdlib.h>
#include <string.h>

/* The text with line splices taken out, and where each character came from. */
typedef struct cursor {
    at_source *source;
    const char *text;
    const uint32_t *origin;
    uint32_t at, length;
} cursor;

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_name_start(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

static bool is_name(char c)
{
    return is_name_start(c) || is_digit(c);
}

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\f' || c == '\v';
}

static char peek(const cursor *c, uint32_t ahead)
{
    return c->at + ahead < c->length ? c->text[c->at + ahead] : 0;
}

static actune_status unsplice(at_source *source, const char *text, cursor *c)
{
    size_t length = strlen(text);
    char *clean = at_arena_alloc(&source->arena, length + 1);
    uint32_t *origin = at_arena_array(&source->arena, length + 1, sizeof *origin);
    if (!clean || !origin)
        return at_fail(ACTUNE_NO_MEMORY, "out of memory while reading %s", source->path);
    uint32_t n = 0;
    for (size_t i = 0; i < length; i++) {
        size_t after = i + 1 + (text[i] == '\\' && text[i + 1] == '\r');
        if (text[i] == '\\' && text[after] == '\n') {
            i = after;
            continue;
        }
        clean[n] = text[i];
        origin[n++] = (uint32_t)i;
    }
    origin[n] = (uint32_t)length;
    *c = (cursor){source, clean, origin, 0, n};
    return ACTUNE_OK;
}

static actune_status add_remark(at_source *s, const char *text, size_t length, uint32_t offset)
{
    if (s->remark_count == s->remark_capacity) {
        int capacity = s->remark_capacity ? s->remark_capacity * 2 : 16;
        at_remark *remarks = realloc(s->remarks, (size_t)capacity * sizeof *remarks);
        if (!remarks)
            return at_fail(ACTUNE_NO_MEMORY, "out of memory while reading %s", s->path);
        s->remarks = remarks;
        s->remark_capacity = capacity;
    }
    char *copy = at_arena_strndup(&s->arena, text, length);
    if (!copy)
        return at_fail(ACTUNE_NO_MEMORY, "out of memory while reading %s", s->path);
    s->remarks[s->remark_count++] = (at_remark){copy, offset};
    return ACTUNE_OK;
}

/* Keeps the lines of a comment whose first word is one of ours. */
static actune_status read_remarks(cursor *c, uint32_t begin, uint32_t end)
{
    static const char *const words[] = {"actune:", "formula:"};
    while (begin < end) {
        uint32_t stop = begin;
        while (stop < end && c->text[stop] != '\n')
            stop++;
        while (begin < stop && (is_space(c->text[begin]) || c->text[begin] == '*'))
            begin++;
        for (size_t i = 0; i < sizeof words / sizeof *words; i++)
            if (stop - begin >= strlen(words[i]) && !memcmp(c->text + begin, words[i], strlen(words[i])))
                AT_TRY(add_remark(c->source, c->text + begin, stop - begin, c->origin[begin]));
        begin = stop + 1;
    }
    return ACTUNE_OK;
}

/* At "//" or the start of a block comment: goes behind it. */
static actune_status skip_comment(cursor *c)
{
    uint32_t begin = c->at + 2, end = begin;
    if (c->text[c->at + 1] == '/') {
        while (end < c->length && c->text[end] != '\n')
            end++;
        c->at = end;
        return read_remarks(c, begin, end);
    }
    while (end + 1 < c->length && (c->text[end] != '*' || c->text[end + 1] != '/'))
        end++;
    if (end + 1 >= c->length)
        return at_source_fail(c->source, ACTUNE_SYNTAX, c->origin[c->at], "this comment is never closed");
    c->at = end + 2;
    return read_remarks(c, begin, end);
}

static actune_status text_length(const cursor *c, uint32_t *length)
{
    char quote = c->text[c->at];
    uint32_t n = 1;
    while (peek(c, n) != quote) {
        if (c->at + n >= c->length || peek(c, n) == '\n')
            return at_source_fail(c->source, ACTUNE_SYNTAX, c->origin[c->at], "this %c is never closed", quote);
        n += peek(c, n) == '\\' && c->at + n + 1 < c->length && peek(c, n + 1) != '\n' ? 2 : 1;
    }
    *length = n + 1;
    return ACTUNE_OK;
}

/* A preprocessing number: what C's lexer takes as one, valid or not. */
static uint32_t number_length(const cursor *c)
{
    uint32_t n = 1;
    for (char last = peek(c, 0);; last = peek(c, n++)) {
        char next = peek(c, n);
        bool sign = (next == '+' || next == '-') && (last == 'e' || last == 'E' || last == 'p' || last == 'P');
        if (!is_name(next) && next != '.' && !sign)
            return n;
    }
}

/* 0 for what is no mark of C. Longest first. */
static uint32_t mark_length(const cursor *c)
{
    static const char *const marks[] = {
        "<<=", ">>=", "...", "->", "++", "--", "<<", ">>", "<=", ">=", "==", "!=", "&&", "||",
        "*=",  "/=",  "%=",  "+=", "-=", "&=", "^=", "|=", "##", "<:", ":>", "<%", "%>", "%:"};
    for (size_t i = 0; i < sizeof marks / sizeof *marks; i++)
        if (!strncmp(c->text + c->at, marks[i], strlen(marks[i])))
            return (uint32_t)strlen(marks[i]);
    return strchr("[](){}.&*+-~!/%<>^|?:;=,#", c->text[c->at]) ? 1 : 0;
}

static actune_status lex_token(cursor *c, at_token *token)
{
    char first = peek(c, 0);
    if (is_name_start(first)) {
        token->kind = AT_TOKEN_NAME;
        for (token->length = 1; is_name(peek(c, token->length));)
            token->length++;
    } else if (is_digit(first) || (first == '.' && is_digit(peek(c, 1)))) {
        token->kind = AT_TOKEN_NUMBER;
        token->length = number_length(c);
    } else if (first == '"' || first == '\'') {
        token->kind = AT_TOKEN_TEXT;
        AT_TRY(text_length(c, &token->length));
    } else {
        token->kind = AT_TOKEN_MARK;
        token->length = mark_length(c);
    }
    if (token->length)
        return ACTUNE_OK;
    if (first > 32 && first < 127)
        return at_source_fail(c->source, ACTUNE_SYNTAX, token->offset, "unexpected character '%c'", first);
    return at_source_fail(c->source, ACTUNE_SYNTAX, token->offset, "unexpected byte 0x%02x", (unsigned char)first);
}

actune_status at_source_lex(at_source *source, const char *text)
{
    cursor c = {0};
    AT_TRY(unsplice(source, text, &c));
    bool starts_line = true, after_space = false;
    while (c.at < c.length) {
        char here = peek(&c, 0), next = peek(&c, 1);
        if (here == '/' && (next == '/' || next == '*')) {
            AT_TRY(skip_comment(&c));
            after_space = true;
        } else if (here == '\n' || is_space(here)) {
            starts_line |= here == '\n';
            after_space = true;
            c.at++;
        } else {
            at_token token = {.text = c.text + c.at,
                              .offset = c.origin[c.at],
                              .starts_line = starts_line,
                              .after_space = after_space};
            AT_TRY(lex_token(&c, &token));
            AT_TRY(at_source_push(source, token));
            c.at += token.length;
            starts_line = after_space = false;
        }
    }
    return ACTUNE_OK;
}
