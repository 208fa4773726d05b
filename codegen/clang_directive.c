#include "clang_macro.h"

#include <stdlib.h>
#include <string.h>

enum { CONDITIONS_MAX = 32 };

/* An #if that is open. */
typedef struct condition {
    uint32_t offset;
    bool live, taken, outer_live, in_else;
} condition;

typedef struct preprocessor {
    at_source *source;
    at_macros macros;
    condition open[CONDITIONS_MAX];
    int depth;
} preprocessor;

/* One directive: its tokens behind '#' and its name. */
typedef struct line {
    const at_token *hash, *tokens;
    int count;
} line;

static bool is_live(const preprocessor *p)
{
    return !p->depth || p->open[p->depth - 1].live;
}

static actune_status refuse(const preprocessor *p, const line *l, actune_status code, const char *message)
{
    return at_source_fail(p->source, code, l->count ? l->tokens[0].offset : l->hash->offset, "%s", message);
}

/* The declarations of these are always there (clang_functions.c), so there is nothing to read. */
static actune_status do_include(preprocessor *p, const line *l)
{
    static const char *const known[] = {"<math.h>", "<tgmath.h>", "<float.h>", "<stdbool.h>"};
    char name[32] = "";
    size_t length = 0;
    for (int i = 0; i < l->count && length + l->tokens[i].length < sizeof name; i++) {
        memcpy(name + length, l->tokens[i].text, l->tokens[i].length);
        length += l->tokens[i].length;
    }
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (!strcmp(name, known[i]))
            return ACTUNE_OK;
    return refuse(
        p, l, ACTUNE_UNSUPPORTED,
        "only <math.h>, <tgmath.h>, <float.h> and <stdbool.h> may be included (no file is read besides this one)");
}

static actune_status do_define(preprocessor *p, const line *l)
{
    return at_macro_define(&p->macros, l->hash, l->tokens, l->count);
}

static actune_status do_undef(preprocessor *p, const line *l)
{
    if (l->count != 1 || l->tokens[0].kind != AT_TOKEN_NAME)
        return refuse(p, l, ACTUNE_SYNTAX, "#undef needs one name");
    at_macro *macro = at_macro_find(&p->macros, &l->tokens[0]);
    if (macro)
        macro->defined = false;
    return ACTUNE_OK;
}

static actune_status do_error(preprocessor *p, const line *l)
{
    return refuse(p, l, ACTUNE_SYNTAX, "the text stops itself with #error");
}

static actune_status open_condition(preprocessor *p, const line *l, bool holds)
{
    if (p->depth == CONDITIONS_MAX)
        return refuse(p, l, ACTUNE_UNSUPPORTED, "#if is nested too deeply");
    bool live = is_live(p);
    p->open[p->depth++] = (condition){l->hash->offset, live && holds, holds, live, false};
    return ACTUNE_OK;
}

static actune_status do_ifdef(preprocessor *p, const line *l)
{
    if (l->count != 1 || l->tokens[0].kind != AT_TOKEN_NAME)
        return refuse(p, l, ACTUNE_SYNTAX, "#ifdef and #ifndef need one name");
    return open_condition(p, l, at_macro_find(&p->macros, &l->tokens[0]));
}

static actune_status do_ifndef(preprocessor *p, const line *l)
{
    AT_TRY(do_ifdef(p, l));
    condition *c = &p->open[p->depth - 1];
    c->taken = !c->taken;
    c->live = c->outer_live && c->taken;
    return ACTUNE_OK;
}

/* [!] number | [!] defined NAME | [!] defined ( NAME ) */
static bool read_term(preprocessor *p, const line *l, int *at, bool *holds)
{
    bool negated = false;
    for (; *at < l->count && at_token_is(&l->tokens[*at], "!"); ++*at)
        negated = !negated;
    int left = l->count - *at;
    const at_token *t = l->tokens + *at;
    if (left >= 1 && t->kind == AT_TOKEN_NUMBER && t->length == 1) {
        *holds = (t->text[0] != '0') != negated;
        *at += 1;
        return true;
    }
    if (left < 2 || !at_token_is(t, "defined"))
        return false;
    int bracket = at_token_is(&t[1], "(");
    if (left < 2 + 2 * bracket || t[1 + bracket].kind != AT_TOKEN_NAME || (bracket && !at_token_is(&t[3], ")")))
        return false;
    *holds = (at_macro_find(&p->macros, &t[1 + bracket]) != NULL) != negated;
    *at += 2 + 2 * bracket;
    return true;
}

/* Terms joined by && and ||, && first. */
static actune_status evaluate(preprocessor *p, const line *l, bool *holds)
{
    bool any = false, all = true, term;
    for (int at = 0;;) {
        if (!read_term(p, l, &at, &term))
            break;
        all = all && term;
        if (at == l->count) {
            *holds = any || all;
            return ACTUNE_OK;
        }
        if (at_token_is(&l->tokens[at], "||")) {
            any = any || all;
            all = true;
        } else if (!at_token_is(&l->tokens[at], "&&")) {
            break;
        }
        at++;
    }
    return refuse(p, l, ACTUNE_UNSUPPORTED, "only 0, 1 and defined(NAME) are supported in #if, joined by &&, || and !");
}

static actune_status do_if(preprocessor *p, const line *l)
{
    bool holds = false;
    if (is_live(p))
        AT_TRY(evaluate(p, l, &holds));
    return open_condition(p, l, holds);
}

static actune_status do_elif(preprocessor *p, const line *l)
{
    condition *c = p->depth ? &p->open[p->depth - 1] : NULL;
    if (!c || c->in_else)
        return refuse(p, l, ACTUNE_SYNTAX, "#elif without #if");
    bool holds = false;
    if (c->outer_live && !c->taken)
        AT_TRY(evaluate(p, l, &holds));
    c->live = c->outer_live && !c->taken && holds;
    c->taken |= holds;
    return ACTUNE_OK;
}

static actune_status do_else(preprocessor *p, const line *l)
{
    condition *c = p->depth ? &p->open[p->depth - 1] : NULL;
    if (!c || c->in_else)
        return refuse(p, l, ACTUNE_SYNTAX, "#else without #if");
    c->in_else = true;
    c->live = c->outer_live && !c->taken;
    return ACTUNE_OK;
}

static actune_status do_endif(preprocessor *p, const line *l)
{
    if (!p->depth)
        return refuse(p, l, ACTUNE_SYNTAX, "#endif without #if");
    p->depth--;
    return ACTUNE_OK;
}

static const struct {
    const char *name;
    bool conditional; /* obeyed in skipped text too */
    actune_status (*obey)(preprocessor *p, const line *l);
} directives[] = {
    {"include", false, do_include}, {"define", false, do_define}, {"undef", false, do_undef},
    {"error", false, do_error},     {"if", true, do_if},          {"ifdef", true, do_ifdef},
    {"ifndef", true, do_ifndef},    {"elif", true, do_elif},      {"else", true, do_else},
    {"endif", true, do_endif},
};

static actune_status obey(preprocessor *p, const at_token *hash, int count)
{
    line l = {hash, hash + 2, count - 2};
    if (count == 1)
        return ACTUNE_OK;
    for (size_t i = 0; i < sizeof directives / sizeof *directives; i++)
        if (at_token_is(&hash[1], directives[i].name))
            return is_live(p) || directives[i].conditional ? directives[i].obey(p, &l) : ACTUNE_OK;
    if (!is_live(p))
        return ACTUNE_OK;
    return at_source_fail(p->source, ACTUNE_UNSUPPORTED, hash[1].offset,
                          "#%.*s is not supported in a definition: leave it out", (int)hash[1].length, hash[1].text);
}

/* Tokens from `at` on that belong to one directive, or to the text up to the next directive. */
static int run_length(const at_token *tokens, int at, int count)
{
    bool directive = tokens[at].starts_line && at_token_is(&tokens[at], "#");
    int n = 1;
    while (at + n < count && !(tokens[at + n].starts_line && (directive || at_token_is(&tokens[at + n], "#"))))
        n++;
    return n;
}

static actune_status preprocess(preprocessor *p, const at_token *tokens, int count)
{
    for (int at = 0, n; at < count; at += n) {
        n = run_length(tokens, at, count);
        if (tokens[at].starts_line && at_token_is(&tokens[at], "#"))
            AT_TRY(obey(p, &tokens[at], n));
        else if (is_live(p))
            AT_TRY(at_macro_expand(&p->macros, &tokens[at], n));
    }
    if (p->depth)
        return at_source_fail(p->source, ACTUNE_SYNTAX, p->open[p->depth - 1].offset, "this #if has no #endif");
    return ACTUNE_OK;
}

actune_status at_source_preprocess(at_source *source)
{
    at_token *raw = source->tokens;
    int count = source->count;
    source->tokens = NULL;
    source->count = source->capacity = 0;
    preprocessor *p = calloc(1, sizeof *p);
    actune_status status = ACTUNE_NO_MEMORY;
    if (p) {
        p->source = p->macros.source = source;
        status = preprocess(p, raw, count);
    } else {
        at_fail(status, "out of memory while reading %s", source->path);
    }
    free(p);
    free(raw);
    return status;
}
