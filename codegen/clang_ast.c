#include "clang_lower.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct collector {
    at_cx_cursor *item;
    int count, capacity;
    bool grows, failed;
} collector;

static int collect(at_cx_cursor cursor, at_cx_cursor parent, void *user)
{
    (void)parent;
    collector *c = user;
    if (c->count == c->capacity && c->grows && !c->failed) {
        int capacity = c->capacity ? c->capacity * 2 : 16;
        at_cx_cursor *item = realloc(c->item, (size_t)capacity * sizeof *item);
        if (item) {
            c->item = item;
            c->capacity = capacity;
        } else {
            c->failed = true;
        }
    }
    if (c->count < c->capacity)
        c->item[c->count] = cursor;
    c->count++;
    return AT_CX_VISIT_CONTINUE;
}

int at_ast_children(const at_lowering *l, at_cx_cursor cursor, at_cx_cursor child[AT_CHILDREN_MAX])
{
    collector c = {.item = child, .capacity = AT_CHILDREN_MAX};
    l->api->visitChildren(cursor, collect, &c);
    return c.count;
}

at_cx_cursor *at_ast_all_children(const at_clang_api *api, at_cx_cursor cursor, int *count)
{
    collector c = {.item = malloc(sizeof *c.item), .capacity = 1, .grows = true};
    if (!c.item)
        return NULL;
    api->visitChildren(cursor, collect, &c);
    if (c.failed) {
        free(c.item);
        return NULL;
    }
    *count = c.count;
    return c.item;
}

int at_ast_type(const at_lowering *l, at_cx_cursor cursor)
{
    return l->api->getCanonicalType(l->api->getCursorType(cursor)).kind;
}

static int token_index(const at_lowering *l, at_cx_location location)
{
    unsigned place = 0;
    l->api->getExpansionLocation(location, NULL, NULL, NULL, &place);
    return at_source_token_at(l->source, place);
}

static const at_token *token(const at_lowering *l, int index)
{
    return index < 0 ? NULL : &l->source->tokens[index];
}

static int first_index(const at_lowering *l, at_cx_cursor cursor)
{
    return token_index(l, l->api->getRangeStart(l->api->getCursorExtent(cursor)));
}

const at_token *at_ast_first_token(const at_lowering *l, at_cx_cursor cursor)
{
    return token(l, first_index(l, cursor));
}

const at_token *at_ast_last_token(const at_lowering *l, at_cx_cursor cursor)
{
    unsigned place = 0;
    at_cx_location end = l->api->getRangeEnd(l->api->getCursorExtent(cursor));
    l->api->getExpansionLocation(end, NULL, NULL, NULL, &place);
    return token(l, place ? at_source_token_at(l->source, place - 1) : -1);
}

const at_token *at_ast_token_before(const at_lowering *l, at_cx_cursor cursor)
{
    return token(l, first_index(l, cursor) - 1);
}

uint32_t at_ast_offset(const at_lowering *l, at_cx_cursor cursor)
{
    const at_token *at = token(l, token_index(l, l->api->getCursorLocation(cursor)));
    return at ? at->offset : 0;
}

const char *at_ast_string(const at_clang_api *api, at_cx_string string, char *buffer, size_t bytes)
{
    const char *text = api->getCString(string);
    snprintf(buffer, bytes, "%s", text ? text : "");
    api->disposeString(string);
    return buffer;
}

actune_status at_ast_refuse(const at_lowering *l, at_cx_cursor cursor, const char *format, ...)
{
    char message[512];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(message, sizeof message, format, arguments);
    va_end(arguments);
    return at_source_fail(l->source, ACTUNE_UNSUPPORTED, at_ast_offset(l, cursor), "%s", message);
}

static const struct {
    int kind;
    const char *message;
} refused[] = {
    {AT_CX_FOR, "loops are not supported: write the terms out"},
    {AT_CX_WHILE, "loops are not supported: write the terms out"},
    {AT_CX_DO, "loops are not supported: write the terms out"},
    {AT_CX_BREAK, "loops are not supported: write the terms out"},
    {AT_CX_CONTINUE, "loops are not supported: write the terms out"},
    {AT_CX_GOTO, "goto is not supported: use if and else"},
    {AT_CX_INDIRECT_GOTO, "goto is not supported: use if and else"},
    {AT_CX_LABEL, "labels are not supported: use if and else"},
    {AT_CX_ADDRESS_LABEL, "labels are not supported: use if and else"},
    {AT_CX_SWITCH, "switch is not supported: use if and else"},
    {AT_CX_CASE, "switch is not supported: use if and else"},
    {AT_CX_DEFAULT, "switch is not supported: use if and else"},
    {AT_CX_ASM, "asm is not supported: a definition is plain C"},
    {AT_CX_MS_ASM, "asm is not supported: a definition is plain C"},
    {AT_CX_SUBSCRIPT, "arrays are not supported: use scalar variables"},
    {AT_CX_MEMBER_REF, "structures are not supported: use scalar variables"},
    {AT_CX_COMPOUND_LITERAL, "structures and arrays are not supported: use scalar variables"},
    {AT_CX_INIT_LIST, "an initialiser in braces is not supported: write the value alone"},
    {AT_CX_STATEMENT_EXPR, "statements inside an expression are not supported: write them before it"},
    {AT_CX_GENERIC, "_Generic is not supported: a definition has one real type"},
    {AT_CX_SIZEOF, "sizeof is not supported: a definition fits every real type"},
    {AT_CX_CHARACTER, "characters are not supported: write the number"},
    {AT_CX_STRING, "strings are not supported in a function of numbers"},
    {AT_CX_IMAGINARY, "complex numbers are not supported"},
    {AT_CX_UNEXPOSED_EXPR,
     "this kind of expression is not supported: write it with ?: (three operands) and arithmetic"},
    {AT_CX_BLOCK_EXPR, "blocks are not supported: write a static function"},
};

actune_status at_ast_refuse_kind(const at_lowering *l, at_cx_cursor cursor)
{
    int kind = l->api->getCursorKind(cursor);
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++)
        if (refused[i].kind == kind)
            return at_ast_refuse(l, cursor, "%s", refused[i].message);
    char name[64];
    return at_ast_refuse(l, cursor, "this (%s) is not supported in a definition",
                         at_ast_string(l->api, l->api->getCursorKindSpelling(kind), name, sizeof name));
}
