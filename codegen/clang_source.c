#include "clang_source.h"

#include "clang_functions.h"
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What the headers of C that a definition may name would define. */
static const char predefined[] = "#define bool _Bool\n"
                                 "#define true 1\n"
                                 "#define false 0\n"
                                 "#define INFINITY __builtin_inff()\n"
                                 "#define HUGE_VALF __builtin_inff()\n"
                                 "#define HUGE_VAL __builtin_inf()\n"
                                 "#define NAN __builtin_nanf(\"\")\n"
                                 "#define FLT_MAX 3.4028234663852886e38f\n"
                                 "#define FLT_MIN 1.1754943508222875e-38f\n"
                                 "#define FLT_EPSILON 1.1920928955078125e-7f\n"
                                 "#define DBL_MAX 1.7976931348623157e308\n"
                                 "#define DBL_MIN 2.2250738585072014e-308\n"
                                 "#define DBL_EPSILON 2.220446049250313e-16\n"
                                 "#define M_E 2.7182818284590452354\n"
                                 "#define M_LOG2E 1.4426950408889634074\n"
                                 "#define M_LOG10E 0.43429448190325182765\n"
                                 "#define M_LN2 0.69314718055994530942\n"
                                 "#define M_LN10 2.30258509299404568402\n"
                                 "#define M_PI 3.14159265358979323846\n"
                                 "#define M_PI_2 1.57079632679489661923\n"
                                 "#define M_PI_4 0.78539816339744830962\n"
                                 "#define M_1_PI 0.31830988618379067154\n"
                                 "#define M_2_PI 0.63661977236758134308\n"
                                 "#define M_2_SQRTPI 1.12837916709551257390\n"
                                 "#define M_SQRT2 1.41421356237309504880\n"
                                 "#define M_SQRT1_2 0.70710678118654752440\n";

bool at_token_is(const at_token *token, const char *text)
{
    return token->length == strlen(text) && !memcmp(token->text, text, token->length);
}

actune_status at_source_fail(const at_source *source, actune_status code, uint32_t offset, const char *format, ...)
{
    char message[1024];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(message, sizeof message, format, arguments);
    va_end(arguments);
    int line = 1, column = 1;
    for (uint32_t i = 0; i < offset && source->text[i]; i++) {
        column = source->text[i] == '\n' ? 1 : column + 1;
        line += source->text[i] == '\n';
    }
    return at_fail(code, "%s:%d:%d: %s", source->path, line, column, message);
}

actune_status at_source_push(at_source *source, at_token token)
{
    if (source->count == AT_SOURCE_TOKENS_MAX)
        return at_source_fail(source, ACTUNE_UNSUPPORTED, token.offset, "the text has more than %d tokens",
                              AT_SOURCE_TOKENS_MAX);
    if (source->count == source->capacity) {
        int capacity = source->capacity ? source->capacity * 2 : 512;
        at_token *tokens = realloc(source->tokens, (size_t)capacity * sizeof *tokens);
        if (!tokens)
            return at_fail(ACTUNE_NO_MEMORY, "out of memory while reading %s", source->path);
        source->tokens = tokens;
        source->capacity = capacity;
    }
    source->tokens[source->count++] = token;
    return ACTUNE_OK;
}

/* Tokens that could make a compiler look at files or change how it reads what follows. Digraphs would be brackets
 * unseen. */
static bool is_forbidden(const at_token *token)
{
    static const char *const marks[] = {"#", "##", "%:", "<:", ":>", "<%", "%>"};
    for (size_t i = 0; token->kind == AT_TOKEN_MARK && i < sizeof marks / sizeof *marks; i++)
        if (at_token_is(token, marks[i]))
            return true;
    return token->kind == AT_TOKEN_NAME && (at_token_is(token, "_Pragma") || at_token_is(token, "__pragma") ||
                                            (token->length > 6 && !memcmp(token->text, "__has_", 6)));
}

/* What is open at one token. */
typedef struct shape {
    const at_token *open[AT_SOURCE_NESTING_MAX];
    int nesting, statement, elses;
} shape;

static actune_status check_bracket(const at_source *source, shape *s, const at_token *t)
{
    static const char opening[] = "([{", closing[] = ")]}";
    char mark = t->kind == AT_TOKEN_MARK && t->length == 1 ? t->text[0] : ' ';
    const char *closes = strchr(closing, mark);
    if (strchr(opening, mark)) {
        if (s->nesting == AT_SOURCE_NESTING_MAX)
            return at_source_fail(source, ACTUNE_UNSUPPORTED, t->offset, "more than %d brackets are open here",
                                  AT_SOURCE_NESTING_MAX);
        s->open[s->nesting++] = t;
    } else if (closes) {
        if (!s->nesting || s->open[s->nesting - 1]->text[0] != opening[closes - closing])
            return at_source_fail(source, ACTUNE_SYNTAX, t->offset, "this '%c' closes no '%c'", mark,
                                  opening[closes - closing]);
        s->nesting--;
    }
    return ACTUNE_OK;
}

static bool ends_statement(const shape *s, const at_token *t)
{
    for (int i = 0; i < s->nesting; i++)
        if (s->open[i]->text[0] != '{')
            return false;
    return t->kind == AT_TOKEN_MARK && t->length == 1 && strchr(";{}", t->text[0]);
}

/* Bounds the depth of the syntax tree before anybody builds it. Brackets must match: compilers lose their way
 * otherwise. */
static actune_status check_shape(const at_source *source)
{
    shape s = {.nesting = 0};
    for (int i = 0; i < source->count; i++) {
        const at_token *t = &source->tokens[i];
        if (is_forbidden(t))
            return at_source_fail(source, ACTUNE_UNSUPPORTED, t->offset, "'%.*s' is not supported in a definition",
                                  (int)t->length, t->text);
        if (at_token_is(t, "...") && (!i || !at_token_is(&t[-1], ","))) /* libclang 14 crashes on `f(g(x)...)` */
            return at_source_fail(source, ACTUNE_SYNTAX, t->offset, "'...' may only follow a ',' between parameters");
        AT_TRY(check_bracket(source, &s, t));
        s.elses = s.nesting ? s.elses + at_token_is(t, "else") : 0;
        s.statement = ends_statement(&s, t) ? 0 : s.statement + 1;
        if (s.statement > AT_SOURCE_STATEMENT_MAX)
            return at_source_fail(source, ACTUNE_UNSUPPORTED, t->offset,
                                  "this statement has more than %d tokens: split it", AT_SOURCE_STATEMENT_MAX);
        if (s.elses > AT_SOURCE_ELSE_MAX)
            return at_source_fail(source, ACTUNE_UNSUPPORTED, t->offset, "more than %d 'else' in one function",
                                  AT_SOURCE_ELSE_MAX);
    }
    if (s.nesting)
        return at_source_fail(source, ACTUNE_SYNTAX, s.open[s.nesting - 1]->offset, "this '%c' is never closed",
                              s.open[s.nesting - 1]->text[0]);
    return ACTUNE_OK;
}

static actune_status write_clean(at_source *source)
{
    at_clang_functions_declare(&source->clean);
    source->prelude_bytes = (uint32_t)source->clean.length;
    for (int i = 0; i < source->count; i++) {
        at_token *t = &source->tokens[i];
        at_strbuf_char(&source->clean, t->starts_line ? '\n' : ' ');
        t->place = (uint32_t)source->clean.length;
        at_strbuf_append_n(&source->clean, t->text, t->length);
    }
    at_strbuf_char(&source->clean, '\n');
    return at_strbuf_status(&source->clean);
}

actune_status at_source_read(const char *path, const char *text, at_source *source)
{
    *source = (at_source){.path = path, .text = text};
    if (strnlen(text, AT_SOURCE_BYTES_MAX + 1) > AT_SOURCE_BYTES_MAX)
        return at_fail(ACTUNE_UNSUPPORTED, "%s: the text is longer than %d KiB", path, AT_SOURCE_BYTES_MAX / 1024);
    AT_TRY(at_source_lex(source, predefined));
    AT_TRY(at_source_lex(source, text));
    AT_TRY(at_source_preprocess(source));
    AT_TRY(check_shape(source));
    return write_clean(source);
}

void at_source_clear(at_source *source)
{
    free(source->tokens);
    free(source->remarks);
    at_strbuf_clear(&source->clean);
    at_arena_clear(&source->arena);
    *source = (at_source){0};
}

int at_source_token_at(const at_source *source, uint32_t place)
{
    int low = 0, high = source->count; /* the first token that begins behind `place` */
    while (low < high) {
        int middle = (low + high) / 2;
        if (source->tokens[middle].place <= place)
            low = middle + 1;
        else
            high = middle;
    }
    return low - 1;
}
