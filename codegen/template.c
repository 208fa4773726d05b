/* The template expander: $for, $if, $include lines and ${expression} in text. */
#include "template.h"

#include "embedded.h"
#include <stdlib.h>
#include <string.h>

enum { INCLUDE_DEPTH_MAX = 8, NESTING_MAX = 32, ROUNDS_MAX = 4096, OUTPUT_MAX = 8 << 20 };

typedef struct expander {
    const at_template_text *in;
    const char *at, *end; /* the line to do next */
    int line;
    int nesting, includes;
    bool lines;
    int told_line; /* the line that the compiler believes to be next; 0 unknown */
    at_scope *scope;
    at_strbuf *out;
} expander;

typedef enum block_end { AT_END_OF_TEXT, AT_DOLLAR_END, AT_DOLLAR_ELSE, AT_DOLLAR_ELIF } block_end;

static actune_status fail_at(const expander *e, int line, actune_status code, const char *message)
{
    return at_fail(code, "%s:%d: %s", e->in->name, line, message);
}

actune_status at_template_get(const char *name, at_template_text *text)
{
    size_t length = strlen(name);
    for (int i = 0; i < at_embedded_template_count; i++) {
        const at_embedded *e = &at_embedded_templates[i];
        if (!strncmp(e->name, name, length) && (e->name[length] == '.' || e->name[length] == 0)) {
            *text = (at_template_text){e->name, e->text, strlen(e->text), 1};
            return ACTUNE_OK;
        }
    }
    return at_fail(ACTUNE_NOT_FOUND, "there is no template '%s'", name);
}

/* Splits off the line at `at`; word_length 0: a line of text. */
static at_template_line split_line(const at_template_text *in, const char *at, const char *end, int line)
{
    const char *newline = memchr(at, '\n', (size_t)(end - at));
    const char *stop = newline ? newline : end;
    at_template_line result = {.in = in, .line = line, .rest = at, .next = newline ? newline + 1 : end};
    const char *p = at;
    while (p < stop && (*p == ' ' || *p == '\t'))
        p++;
    if (p + 1 < stop && *p == '$' && p[1] != '{') {
        result.word = ++p;
        while (p < stop && *p != ' ' && *p != '\t')
            p++;
        result.word_length = (size_t)(p - result.word);
        while (p < stop && (*p == ' ' || *p == '\t'))
            p++;
        result.rest = p;
        while (stop > p && (stop[-1] == ' ' || stop[-1] == '\t'))
            stop--;
    }
    result.length = (size_t)(stop - result.rest);
    return result;
}

bool at_template_is(const at_template_line *line, const char *word)
{
    return line->word_length > 0 && line->word_length == strlen(word) && !memcmp(line->word, word, line->word_length);
}

static actune_status included(const at_template_line *line, at_template_text *text)
{
    char name[128];
    if (line->length >= sizeof name)
        return at_fail(ACTUNE_SYNTAX, "%s:%d: $include of a name that is too long", line->in->name, line->line);
    memcpy(name, line->rest, line->length);
    name[line->length] = 0;
    actune_status status = at_template_get(name, text);
    return status ? at_fail_in(status, "%s:%d", line->in->name, line->line) : ACTUNE_OK;
}

static actune_status each_line(const at_template_text *text, int depth,
                               actune_status (*visit)(void *user, const at_template_line *line), void *user)
{
    if (depth > INCLUDE_DEPTH_MAX)
        return at_fail(ACTUNE_SYNTAX, "%s: $include lines nested too deeply", text->name);
    const char *end = text->text + text->length;
    int number = text->first_line;
    for (const char *at = text->text; at < end; number++) {
        at_template_line line = split_line(text, at, end, number);
        at = line.next;
        if (at_template_is(&line, "include")) {
            at_template_text inner;
            AT_TRY(included(&line, &inner));
            AT_TRY(each_line(&inner, depth + 1, visit, user));
        } else if (line.word_length > 0)
            AT_TRY(visit(user, &line));
    }
    return ACTUNE_OK;
}

actune_status at_template_each_line(const at_template_text *text,
                                    actune_status (*visit)(void *user, const at_template_line *line), void *user)
{
    return each_line(text, 0, visit, user);
}

static actune_status eval(const expander *e, int line, const char *text, size_t length, at_value *value)
{
    actune_status status = at_expression_eval(text, length, e->scope, value);
    return status ? at_fail_in(status, "%s:%d", e->in->name, line) : ACTUNE_OK;
}

/* Tells the compiler which line comes next, where it would count wrong. */
static void sync_line(expander *e, int line)
{
    if (e->lines && e->told_line != line)
        at_strbuf_printf(e->out, "#line %d \"templates/%s\"\n", line, e->in->name);
    e->told_line = line + 1;
}

static const char *closing_brace(const char *at, const char *end)
{
    for (bool quoted = false; at < end; at++) {
        if (*at == '"')
            quoted = !quoted;
        if (*at == '}' && !quoted)
            return at;
    }
    return NULL;
}

static actune_status expand_text(expander *e, const at_template_line *line)
{
    const char *at = line->rest, *end = line->rest + line->length;
    if (e->out->length > OUTPUT_MAX)
        return fail_at(e, line->line, ACTUNE_SYNTAX, "the expansion is longer than 8 MiB");
    sync_line(e, line->line);
    size_t start = e->out->length;
    while (at < end) {
        const char *dollar = at;
        while (dollar < end && !(*dollar == '$' && dollar + 1 < end && dollar[1] == '{'))
            dollar++;
        at_strbuf_append_n(e->out, at, (size_t)(dollar - at));
        if (dollar == end)
            break;
        const char *brace = closing_brace(dollar + 2, end);
        if (!brace)
            return fail_at(e, line->line, ACTUNE_SYNTAX, "no '}' after '${'");
        at_value value;
        AT_TRY(eval(e, line->line, dollar + 2, (size_t)(brace - dollar - 2), &value));
        at_value_print(&value, e->out);
        at = brace + 1;
    }
    at_strbuf_char(e->out, '\n');
    if (e->lines && !e->out->failed && memchr(e->out->text + start, '\n', e->out->length - start - 1))
        e->told_line = 0;
    return ACTUNE_OK;
}

static actune_status expand_block(expander *e, bool active, block_end *how, at_template_line *last);

/* The lines up to the matching $end, which must be there. */
static actune_status expand_body(expander *e, bool active, int opened)
{
    block_end how;
    at_template_line last;
    AT_TRY(expand_block(e, active, &how, &last));
    if (how != AT_DOLLAR_END)
        return fail_at(e, how == AT_END_OF_TEXT ? opened : last.line, ACTUNE_SYNTAX,
                       how == AT_END_OF_TEXT ? "no $end for this line" : "$else or $elif that belongs to no $if");
    return ACTUNE_OK;
}

/* $for NAME in FIRST..END (END exclusive) */
static actune_status expand_for(expander *e, const at_template_line *line, bool active)
{
    char name[32];
    const char *end = line->rest + line->length, *p = line->rest;
    while (p < end && *p != ' ')
        p++;
    size_t length = (size_t)(p - line->rest);
    const char *dots = memmem(line->rest, line->length, "..", 2);
    if (length == 0 || length >= sizeof name || end - p < 4 || memcmp(p, " in ", 4) || !dots || dots < p + 4)
        return fail_at(e, line->line, ACTUNE_SYNTAX, "expected '$for NAME in FIRST..END'");
    memcpy(name, line->rest, length);
    name[length] = 0;
    at_value first = {0}, stop = {0};
    if (active) {
        AT_TRY(eval(e, line->line, p + 4, (size_t)(dots - p - 4), &first));
        AT_TRY(eval(e, line->line, dots + 2, (size_t)(end - dots - 2), &stop));
        if (first.is_text || stop.is_text || stop.number - first.number > ROUNDS_MAX)
            return fail_at(e, line->line, ACTUNE_SYNTAX, "the bounds of $for must be numbers at most 4096 apart");
    }
    if (first.number >= stop.number)
        return expand_body(e, false, line->line);
    const char *body = e->at;
    int body_line = e->line, variables = e->scope->count;
    for (int64_t k = first.number; k < stop.number; k++) {
        e->at = body;
        e->line = body_line;
        at_scope_number(e->scope, name, -1, k);
        actune_status status = expand_body(e, true, line->line);
        e->scope->count = variables;
        AT_TRY(status);
    }
    return ACTUNE_OK;
}

static actune_status expand_if(expander *e, const at_template_line *line, bool active)
{
    at_template_line branch = *line;
    bool taken = false;
    for (block_end how = AT_DOLLAR_ELIF; how != AT_DOLLAR_END;) {
        bool wanted = active && !taken;
        if (wanted && how == AT_DOLLAR_ELIF) {
            at_value value;
            AT_TRY(eval(e, branch.line, branch.rest, branch.length, &value));
            wanted = at_value_true(&value);
        }
        taken |= wanted;
        bool was_else = how == AT_DOLLAR_ELSE;
        AT_TRY(expand_block(e, wanted, &how, &branch));
        if (how == AT_END_OF_TEXT)
            return fail_at(e, line->line, ACTUNE_SYNTAX, "no $end for this line");
        if (was_else && how != AT_DOLLAR_END)
            return fail_at(e, branch.line, ACTUNE_SYNTAX, "$else must come last");
    }
    return ACTUNE_OK;
}

static actune_status expand_include(expander *e, const at_template_line *line)
{
    at_template_text text;
    AT_TRY(included(line, &text));
    expander inner = *e;
    inner.in = &text;
    inner.at = text.text;
    inner.end = text.text + text.length;
    inner.line = 1;
    inner.told_line = 0;
    if (++inner.includes > INCLUDE_DEPTH_MAX)
        return fail_at(e, line->line, ACTUNE_SYNTAX, "$include lines nested too deeply");
    block_end how;
    at_template_line last;
    actune_status status = expand_block(&inner, true, &how, &last);
    e->told_line = 0;
    if (status == ACTUNE_OK && how != AT_END_OF_TEXT)
        return fail_at(&inner, last.line, ACTUNE_SYNTAX, "this line belongs to no $if or $for");
    return status;
}

static actune_status check_require(const expander *e, const at_template_line *line)
{
    at_value value;
    AT_TRY(eval(e, line->line, line->rest, line->length, &value));
    if (at_value_true(&value))
        return ACTUNE_OK;
    return at_fail(ACTUNE_UNSUPPORTED, "%s:%d: this kernel, target or choice of knobs does not meet: $require %.*s",
                   e->in->name, line->line, (int)line->length, line->rest);
}

static actune_status expand_directive(expander *e, const at_template_line *line, bool active)
{
    if (at_template_is(line, "if"))
        return expand_if(e, line, active);
    if (at_template_is(line, "for"))
        return expand_for(e, line, active);
    if (at_template_is(line, "include"))
        return active ? expand_include(e, line) : ACTUNE_OK;
    if (at_template_is(line, "require"))
        return active ? check_require(e, line) : ACTUNE_OK;
    if (at_template_is(line, "knob") || at_template_is(line, "launch") || at_template_is(line, "option") ||
        at_template_is(line, "#"))
        return ACTUNE_OK;
    return at_fail(ACTUNE_SYNTAX, "%s:%d: unknown line '$%.*s'", e->in->name, line->line, (int)line->word_length,
                   line->word);
}

static actune_status expand_block(expander *e, bool active, block_end *how, at_template_line *last)
{
    if (++e->nesting > NESTING_MAX)
        return fail_at(e, e->line, ACTUNE_SYNTAX, "nested too deeply");
    *how = AT_END_OF_TEXT;
    while (e->at < e->end) {
        at_template_line line = split_line(e->in, e->at, e->end, e->line);
        e->at = line.next;
        e->line++;
        *last = line;
        if (at_template_is(&line, "end"))
            *how = AT_DOLLAR_END;
        else if (at_template_is(&line, "else"))
            *how = AT_DOLLAR_ELSE;
        else if (at_template_is(&line, "elif"))
            *how = AT_DOLLAR_ELIF;
        if (*how != AT_END_OF_TEXT)
            break;
        if (line.word_length > 0)
            AT_TRY(expand_directive(e, &line, active));
        else if (active)
            AT_TRY(expand_text(e, &line));
    }
    e->nesting--;
    return ACTUNE_OK;
}

actune_status at_template_expand(const at_template_text *text, at_scope *scope, bool lines, at_strbuf *out)
{
    expander e = {.in = text,
                  .at = text->text,
                  .end = text->text + text->length,
                  .line = text->first_line,
                  .lines = lines,
                  .scope = scope,
                  .out = out};
    int variables = scope->count;
    block_end how;
    at_template_line last;
    actune_status status = expand_block(&e, true, &how, &last);
    scope->count = variables;
    AT_TRY(status);
    if (how != AT_END_OF_TEXT)
        return fail_at(&e, last.line, ACTUNE_SYNTAX, "this line belongs to no $if or $for");
    if (scope->failed)
        return at_fail(ACTUNE_NO_MEMORY, "out of memory while expanding %s", text->name);
    return at_strbuf_status(out);
}
