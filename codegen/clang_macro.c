#include "clang_macro.h"

#include <string.h>

enum { FRAMES_MAX = 300, DEPTH_MAX = 64, WORK_MAX = 4 * AT_SOURCE_TOKENS_MAX };

/* A token list being read; `macro` is switched on again when it has been. */
typedef struct frame {
    const at_token *tokens;
    int at, count;
    at_macro *macro;
} frame;

typedef struct reader {
    at_macros *macros;
    frame frames[FRAMES_MAX];
    int depth;
} reader;

typedef struct token_list {
    at_token *tokens;
    int count, capacity;
} token_list;

static bool same_name(const at_token *a, const at_token *b)
{
    return a->length == b->length && !memcmp(a->text, b->text, a->length);
}

at_macro *at_macro_find(at_macros *macros, const at_token *name)
{
    for (int i = 0; i < macros->count; i++)
        if (macros->macro[i].defined && same_name(&macros->macro[i].name, name))
            return &macros->macro[i];
    return NULL;
}

/* "(a, b)" behind the name; *used counts the tokens. */
static actune_status read_parameters(at_macros *macros, at_macro *macro, const at_token *tokens, int count, int *used)
{
    int at = 1;
    if (at < count && at_token_is(&tokens[at], ")")) {
        *used = at + 1;
        return ACTUNE_OK;
    }
    for (; at + 1 < count; at += 2) {
        if (tokens[at].kind != AT_TOKEN_NAME)
            break;
        if (macro->parameters == AT_SOURCE_MACRO_PARAMETERS_MAX)
            return at_source_fail(macros->source, ACTUNE_UNSUPPORTED, tokens[at].offset,
                                  "a macro may have at most %d parameters", AT_SOURCE_MACRO_PARAMETERS_MAX);
        macro->parameter[macro->parameters++] = tokens[at];
        *used = at + 2;
        if (at_token_is(&tokens[at + 1], ")"))
            return ACTUNE_OK;
        if (!at_token_is(&tokens[at + 1], ","))
            break;
    }
    return at_source_fail(macros->source, ACTUNE_UNSUPPORTED, tokens[at < count ? at : count - 1].offset,
                          "only plain names are supported as parameters of a macro (no variadic macros)");
}

actune_status at_macro_define(at_macros *macros, const at_token *hash, const at_token *tokens, int count)
{
    at_source *source = macros->source;
    if (!count || tokens[0].kind != AT_TOKEN_NAME)
        return at_source_fail(source, ACTUNE_SYNTAX, count ? tokens[0].offset : hash->offset,
                              "#define needs a name to define");
    at_macro macro = {.name = tokens[0], .defined = true};
    int at = 1;
    if (at < count && at_token_is(&tokens[at], "(") && !tokens[at].after_space) {
        int used = 0;
        macro.function = true;
        AT_TRY(read_parameters(macros, &macro, tokens + at, count - at, &used));
        at += used;
    }
    macro.body = tokens + at;
    macro.body_count = count - at;
    for (int i = at; i < count; i++)
        if (at_token_is(&tokens[i], "#") || at_token_is(&tokens[i], "##") || at_token_is(&tokens[i], "%:"))
            return at_source_fail(source, ACTUNE_UNSUPPORTED, tokens[i].offset,
                                  "# and ## in macros are not supported: write a static function");
    at_macro *place = at_macro_find(macros, &macro.name);
    if (!place && macros->count == AT_SOURCE_MACROS_MAX)
        return at_source_fail(source, ACTUNE_UNSUPPORTED, tokens[0].offset, "more than %d macros",
                              AT_SOURCE_MACROS_MAX);
    *(place ? place : &macros->macro[macros->count++]) = macro;
    return ACTUNE_OK;
}

static actune_status account(at_macros *macros, const at_token *token)
{
    if (++macros->work <= WORK_MAX)
        return ACTUNE_OK;
    return at_source_fail(macros->source, ACTUNE_UNSUPPORTED, token->offset,
                          "the macros expand to too much: write static functions instead");
}

static actune_status append(at_macros *macros, token_list *list, at_token token)
{
    AT_TRY(account(macros, &token));
    if (list->count == list->capacity) {
        int capacity = list->capacity ? list->capacity * 2 : 16;
        at_token *tokens = at_arena_array(&macros->source->arena, (size_t)capacity, sizeof *tokens);
        if (!tokens)
            return at_fail(ACTUNE_NO_MEMORY, "out of memory while expanding macros");
        if (list->count)
            memcpy(tokens, list->tokens, (size_t)list->count * sizeof *tokens);
        list->tokens = tokens;
        list->capacity = capacity;
    }
    list->tokens[list->count++] = token;
    return ACTUNE_OK;
}

/* The next token without taking it, NULL at the end. Leaves finished macros. */
static const at_token *peek(reader *r)
{
    while (r->depth && r->frames[r->depth - 1].at == r->frames[r->depth - 1].count) {
        r->depth--;
        if (r->frames[r->depth].macro)
            r->frames[r->depth].macro->active = false;
    }
    return r->depth ? &r->frames[r->depth - 1].tokens[r->frames[r->depth - 1].at] : NULL;
}

static void take(reader *r)
{
    r->frames[r->depth - 1].at++;
}

static actune_status enter(reader *r, const at_token *use, at_macro *macro, token_list body)
{
    if (r->depth == FRAMES_MAX)
        return at_source_fail(r->macros->source, ACTUNE_UNSUPPORTED, use->offset, "macros are nested too deeply");
    macro->active = true;
    r->frames[r->depth++] = (frame){body.tokens, 0, body.count, macro};
    return ACTUNE_OK;
}

/* The arguments of a use, from behind its "(" to its ")". */
static actune_status read_arguments(reader *r, const at_token *use, const at_macro *macro, token_list *arguments)
{
    int nesting = 0, count = 0;
    for (const at_token *next; (next = peek(r));) {
        at_token token = *next;
        take(r);
        if (at_token_is(&token, ")") && !nesting--) {
            if (count + 1 == macro->parameters || (!macro->parameters && !count && !arguments[0].count))
                return ACTUNE_OK;
            break;
        }
        nesting += at_token_is(&token, "(");
        if (at_token_is(&token, ",") && !nesting) {
            if (++count >= macro->parameters)
                break;
            continue;
        }
        AT_TRY(append(r->macros, &arguments[count], token));
    }
    return at_source_fail(r->macros->source, ACTUNE_SYNTAX, use->offset, "macro '%.*s' takes %d argument%s",
                          (int)use->length, use->text, macro->parameters, macro->parameters == 1 ? "" : "s");
}

static actune_status expand_into(at_macros *macros, const at_token *tokens, int count, token_list *out);

static int parameter_index(const at_macro *macro, const at_token *token)
{
    for (int i = 0; token->kind == AT_TOKEN_NAME && i < macro->parameters; i++)
        if (same_name(&macro->parameter[i], token))
            return i;
    return -1;
}

/* The body with its parameters replaced by the expanded arguments. */
static actune_status substitute(at_macros *macros, const at_token *use, const at_macro *macro,
                                const token_list *arguments, token_list *body)
{
    token_list expanded[AT_SOURCE_MACRO_PARAMETERS_MAX] = {{0}};
    for (int i = 0; i < macro->parameters; i++)
        AT_TRY(expand_into(macros, arguments[i].tokens, arguments[i].count, &expanded[i]));
    for (int i = 0; i < macro->body_count; i++) {
        int parameter = parameter_index(macro, &macro->body[i]);
        if (parameter < 0) {
            at_token token = macro->body[i];
            token.offset = use->offset;
            AT_TRY(append(macros, body, token));
            continue;
        }
        for (int k = 0; k < expanded[parameter].count; k++)
            AT_TRY(append(macros, body, expanded[parameter].tokens[k]));
    }
    return ACTUNE_OK;
}

/* A macro's name was taken: enters its expansion, or says (*plain) that it stands for itself. */
static actune_status use_macro(reader *r, const at_token *use, at_macro *macro, bool *plain)
{
    token_list arguments[AT_SOURCE_MACRO_PARAMETERS_MAX] = {{0}}, body = {0};
    const at_token *next = macro->function ? peek(r) : NULL;
    *plain = macro->function && (!next || !at_token_is(next, "("));
    if (*plain)
        return ACTUNE_OK;
    if (macro->function) {
        take(r);
        AT_TRY(read_arguments(r, use, macro, arguments));
    }
    AT_TRY(substitute(r->macros, use, macro, arguments, &body));
    return enter(r, use, macro, body);
}

static actune_status expand_all(reader *r, token_list *out)
{
    for (const at_token *next; (next = peek(r));) {
        at_token token = *next;
        take(r);
        at_macro *macro = token.kind == AT_TOKEN_NAME && !token.painted ? at_macro_find(r->macros, &token) : NULL;
        bool plain = true;
        if (macro && macro->active)
            token.painted = true;
        else if (macro)
            AT_TRY(use_macro(r, &token, macro, &plain));
        if (plain)
            AT_TRY(append(r->macros, out, token));
    }
    return ACTUNE_OK;
}

static actune_status expand_into(at_macros *macros, const at_token *tokens, int count, token_list *out)
{
    if (!count)
        return ACTUNE_OK;
    reader *r = at_arena_alloc(&macros->source->arena, sizeof *r);
    if (!r)
        return at_fail(ACTUNE_NO_MEMORY, "out of memory while expanding macros");
    if (macros->depth == DEPTH_MAX)
        return at_source_fail(macros->source, ACTUNE_UNSUPPORTED, tokens[0].offset, "macros are nested too deeply");
    *r = (reader){.macros = macros, .frames = {{tokens, 0, count, NULL}}, .depth = 1};
    macros->depth++;
    actune_status status = expand_all(r, out);
    macros->depth--;
    return status;
}

actune_status at_macro_expand(at_macros *macros, const at_token *tokens, int count)
{
    token_list out = {0};
    AT_TRY(expand_into(macros, tokens, count, &out));
    for (int i = 0; i < out.count; i++)
        AT_TRY(at_source_push(macros->source, out.tokens[i]));
    return ACTUNE_OK;
}
