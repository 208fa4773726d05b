#include "parse_clang.h"

#include "../runtime/base/nearest.h"
#include "clang_lower.h"
#include "clang_remark.h"
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A definition file as libclang sees it. */
typedef struct parsed {
    const at_clang_api *api;
    at_source source;
    at_cx_index index;
    at_cx_unit unit;
    at_cx_cursor *function; /* the definitions, in order */
    int functions;
} parsed;

enum { NAME_BYTES = 128, LISTED_MAX = 8 };

/* libclang sets signal handlers while it works and its clients share global state: one at a time. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

/* A target whose driver looks for no toolchain, CUDA or distribution on this machine, and no include paths. */
static const char *const clang_arguments[] = {"-x",
                                              "c",
                                              "-std=gnu11",
                                              "--target=wasm32-unknown-unknown",
                                              "-ffreestanding",
                                              "-fno-builtin",
                                              "-nostdinc",
                                              "-w",
                                              "-Wno-implicit-function-declaration",
                                              "-Wno-error=implicit-function-declaration"};

static at_lowering looker(const parsed *p)
{
    return (at_lowering){.api = p->api, .source = &p->source};
}

/* The first error that clang found, at the user's own line. */
static actune_status check_diagnostics(const parsed *p)
{
    for (unsigned i = 0; i < p->api->getNumDiagnostics(p->unit); i++) {
        at_cx_diagnostic d = p->api->getDiagnostic(p->unit, i);
        char text[512];
        unsigned place = 0;
        bool error = p->api->getDiagnosticSeverity(d) >= AT_CX_DIAGNOSTIC_ERROR;
        at_ast_string(p->api, p->api->getDiagnosticSpelling(d), text, sizeof text);
        p->api->getExpansionLocation(p->api->getDiagnosticLocation(d), NULL, NULL, NULL, &place);
        p->api->disposeDiagnostic(d);
        int token = at_source_token_at(&p->source, place);
        if (error)
            return at_source_fail(&p->source, ACTUNE_SYNTAX, token < 0 ? 0 : p->source.tokens[token].offset, "%s",
                                  text);
    }
    return ACTUNE_OK;
}

static actune_status list_functions(parsed *p)
{
    at_lowering l = looker(p);
    int count = 0, kept = 0;
    p->function = at_ast_all_children(p->api, p->api->getTranslationUnitCursor(p->unit), &count);
    if (!p->function)
        return at_fail(ACTUNE_NO_MEMORY, "out of memory while reading %s", p->source.path);
    for (int i = 0; i < count; i++)
        if (p->api->getCursorKind(p->function[i]) == AT_CX_FUNCTION && p->api->isCursorDefinition(p->function[i]) &&
            at_ast_first_token(&l, p->function[i]))
            p->function[kept++] = p->function[i];
    p->functions = kept;
    return ACTUNE_OK;
}

static actune_status open_unit(parsed *p)
{
    static const char name[] = "/actune/definition.c"; /* exists in memory alone */
    at_cx_unsaved file = {name, p->source.clean.text, p->source.clean.length};
    p->index = p->api->createIndex(0, 0);
    if (!p->index)
        return at_fail(ACTUNE_INTERNAL, "libclang %s gives no index", p->api->version);
    int error = p->api->parseTranslationUnit2(p->index, name, clang_arguments,
                                              sizeof clang_arguments / sizeof *clang_arguments, &file, 1, 0, &p->unit);
    if (error || !p->unit) /* it catches its own crashes; they happen on broken C only, as far as a fuzzer could find */
        return at_fail(ACTUNE_SYNTAX, "%s:1:1: libclang %s gives up on this text (error %d): is it valid C?",
                       p->source.path, p->api->version, error);
    AT_TRY(check_diagnostics(p));
    return list_functions(p);
}

static actune_status open_parsed(const char *path, const char *source, parsed *p)
{
    *p = (parsed){0};
    AT_TRY(at_source_read(path, source, &p->source));
    AT_TRY(at_clang_load(&p->api));
    return open_unit(p);
}

static void close_parsed(parsed *p)
{
    free(p->function);
    if (p->unit)
        p->api->disposeTranslationUnit(p->unit);
    if (p->index) {
        p->api->disposeIndex(p->index);
        p->api->toggleCrashRecovery(0); /* gives the host program its signal handlers back */
    }
    at_source_clear(&p->source);
}

/* Nodes that the result needs, in order; the rest of what was executed goes. */
static actune_status keep_live(const at_graph *from, at_node_id result, at_graph *to)
{
    at_node_id *map = calloc((size_t)from->count + 1, sizeof *map);
    if (!map || result < 0) {
        free(map);
        return at_fail(ACTUNE_NO_MEMORY, "out of memory while building an expression graph");
    }
    map[result] = 1;
    for (at_node_id i = result; i >= 0; i--)
        for (int k = 0; map[i] && k < at_op_get(from->nodes[i].op)->arguments; k++)
            map[from->nodes[i].arg[k]] = 1;
    for (at_node_id i = 0; i <= result; i++) {
        const at_node *n = &from->nodes[i];
        at_node_id arg[3] = {AT_NO_NODE, AT_NO_NODE, AT_NO_NODE};
        for (int k = 0; map[i] && k < at_op_get(n->op)->arguments; k++)
            arg[k] = map[n->arg[k]];
        if (map[i])
            map[i] = n->op == AT_OP_CONSTANT ? at_graph_constant(to, n->value)
                     : n->op == AT_OP_INPUT  ? at_graph_input(to, n->index)
                                             : at_graph_add(to, n->op, arg[0], arg[1], arg[2]);
    }
    to->output[0] = map[result];
    to->outputs = 1;
    free(map);
    return at_graph_status(to);
}

static actune_status lower(const parsed *p, at_cx_cursor function, at_graph *graph)
{
    at_graph all = {0};
    at_lowering l = looker(p);
    l.graph = &all;
    l.real = p->api->getCanonicalType(p->api->getResultType(p->api->getCursorType(function))).kind;
    if (l.real != AT_CX_DOUBLE)
        l.real = AT_CX_FLOAT;
    at_value arguments[AT_PARAMETERS_MAX + 1], value;
    int count = p->api->Cursor_getNumArguments(function);
    for (int i = 0; i < count; i++)
        arguments[i] = at_value_real(at_lower_input(&l, i));
    actune_status status = at_lower_function(&l, function, arguments, count, &value);
    if (status == ACTUNE_OK)
        status = keep_live(&all, at_value_as_real(&l, value), graph);
    at_graph_clear(&all);
    return status;
}

static actune_status read_name(const parsed *p, at_cx_cursor cursor, at_arena *arena, const char **name)
{
    char text[NAME_BYTES];
    *name = at_arena_strdup(arena, at_ast_string(p->api, p->api->getCursorSpelling(cursor), text, sizeof text));
    return *name ? ACTUNE_OK : at_fail(ACTUNE_NO_MEMORY, "out of memory while reading %s", p->source.path);
}

/* The result and every parameter must be real; the first parameter is x. */
static actune_status read_parameters(const parsed *p, at_cx_cursor function, at_arena *arena, at_activation *a)
{
    at_lowering l = looker(p);
    const at_clang_api *api = p->api;
    int count = api->Cursor_getNumArguments(function);
    int result = api->getCanonicalType(api->getResultType(api->getCursorType(function))).kind;
    if (result != AT_CX_FLOAT && result != AT_CX_DOUBLE)
        return at_ast_refuse(&l, function, "%s must return float (or double)", a->name);
    l.real = result;
    if (count < 1)
        return at_ast_refuse(&l, function, "%s needs a parameter: the first one is the input x", a->name);
    if (count > AT_PARAMETERS_MAX + 1)
        return at_ast_refuse(&l, function, "%s has more than %d parameters besides its input", a->name,
                             AT_PARAMETERS_MAX);
    for (int i = 0; i < count; i++) {
        at_cx_cursor parameter = api->Cursor_getArgument(function, (unsigned)i);
        const char *name;
        int kind;
        AT_TRY(at_lower_type(&l, parameter, api->getCursorType(parameter), &kind));
        if (kind != result)
            return at_ast_refuse(&l, parameter, "parameters must be real numbers: write %s",
                                 result == AT_CX_DOUBLE ? "double" : "float");
        AT_TRY(read_name(p, parameter, arena, &name));
        if (!*name)
            return at_ast_refuse(&l, parameter, "this parameter needs a name");
        if (i)
            a->parameter[a->parameters++] = (at_parameter){.name = name, .aliases = ""};
    }
    return ACTUNE_OK;
}

/* Function `index` of the file as an activation. */
static actune_status make_activation(const parsed *p, int index, at_arena *arena, at_activation *activation)
{
    at_lowering l = looker(p);
    at_activation a = {.formula = "", .aliases = "", .requirements = ""};
    at_cx_cursor function = p->function[index];
    AT_TRY(read_name(p, function, arena, &a.name));
    AT_TRY(read_parameters(p, function, arena, &a));
    const at_token *end_before = index ? at_ast_last_token(&l, p->function[index - 1]) : NULL;
    AT_TRY(at_remarks_apply(&p->source, end_before ? end_before->offset : 0, at_ast_offset(&l, function), arena, &a));
    actune_status status = lower(p, function, &a.graph);
    if (status != ACTUNE_OK)
        at_graph_clear(&a.graph);
    else
        *activation = a;
    return status;
}

static actune_status refuse_missing(const parsed *p, const char *wanted)
{
    at_nearest nearest;
    at_strbuf hint = {0};
    char name[NAME_BYTES];
    at_nearest_init(&nearest, wanted);
    for (int i = 0; i < p->functions; i++)
        at_nearest_consider(&nearest,
                            at_ast_string(p->api, p->api->getCursorSpelling(p->function[i]), name, sizeof name));
    at_nearest_print(&nearest, &hint);
    if (!nearest.count)
        at_strbuf_append(&hint, p->functions ? "; it has" : "; it has none");
    for (int i = 0; !nearest.count && i < p->functions && i < LISTED_MAX; i++)
        at_strbuf_printf(&hint, "%s '%s'", i ? "," : "",
                         at_ast_string(p->api, p->api->getCursorSpelling(p->function[i]), name, sizeof name));
    actune_status status =
        at_fail(ACTUNE_NOT_FOUND, "%s: there is no function '%s'%s", p->source.path, wanted, at_strbuf_text(&hint));
    at_strbuf_clear(&hint);
    return status;
}

static actune_status parse_one(const parsed *p, const char *function, at_arena *arena, at_activation *activation)
{
    char name[NAME_BYTES];
    for (int i = 0; i < p->functions; i++)
        if (!strcmp(at_ast_string(p->api, p->api->getCursorSpelling(p->function[i]), name, sizeof name), function))
            return make_activation(p, i, arena, activation);
    return refuse_missing(p, function);
}

actune_status at_parse_c(const char *path, const char *source, const char *function, at_arena *arena,
                         at_activation *activation)
{
    parsed p;
    *activation = (at_activation){.name = "", .formula = "", .aliases = "", .requirements = ""};
    pthread_mutex_lock(&lock);
    actune_status status = open_parsed(path, source, &p);
    if (status == ACTUNE_OK)
        status = parse_one(&p, function, arena, activation);
    close_parsed(&p);
    pthread_mutex_unlock(&lock);
    return status;
}

static actune_status visit_each(const parsed *p, at_arena *arena,
                                actune_status (*visit)(void *user, const at_activation *activation), void *user)
{
    for (int i = 0; i < p->functions; i++) {
        at_activation a;
        if (p->api->Cursor_getStorageClass(p->function[i]) == AT_CX_STORAGE_STATIC)
            continue;
        AT_TRY(make_activation(p, i, arena, &a));
        actune_status status = visit(user, &a);
        at_graph_clear(&a.graph);
        AT_TRY(status);
    }
    return ACTUNE_OK;
}

actune_status at_parse_c_file(const char *path, const char *source, at_arena *arena,
                              actune_status (*visit)(void *user, const at_activation *activation), void *user)
{
    parsed p;
    pthread_mutex_lock(&lock);
    actune_status status = open_parsed(path, source, &p);
    if (status == ACTUNE_OK)
        status = visit_each(&p, arena, visit, user);
    close_parsed(&p);
    pthread_mutex_unlock(&lock);
    return status;
}

const char *at_parse_c_version(void)
{
    const at_clang_api *api;
    return at_clang_load(&api) == ACTUNE_OK ? api->version : "";
}
