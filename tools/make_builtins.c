/* make_builtins OUTPUT.c GOLDEN.txt DEFINITION.c...: writes the table of codegen/builtins.h from C definitions, or,
   when no libclang is found, from the text that was committed. make_builtins --golden DEFINITION.c...: prints that
   text. */
#include "codegen/builtins.h"
#include "codegen/parse_clang.h"
#include "runtime/base/number.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ROWS_MAX = 256, TEXT_MAX = 1 << 20 };

typedef struct rows {
    at_arena arena;
    at_builtin row[ROWS_MAX];
    int count;
} rows;

static char *read_file(const char *path, at_arena *arena)
{
    FILE *in = fopen(path, "rb");
    char *text = in ? at_arena_alloc(arena, TEXT_MAX + 1) : NULL;
    size_t length = text ? fread(text, 1, TEXT_MAX, in) : 0;
    if (in)
        fclose(in);
    if (!text)
        perror(path);
    else
        text[length] = 0;
    return text;
}

static char *parameters_text(const at_activation *a, at_arena *arena)
{
    char *text = at_arena_strdup(arena, "");
    for (int i = 0; i < a->parameters && text; i++) {
        char number[AT_NUMBER_BYTES] = "";
        if (a->parameter[i].has_default)
            at_number_print(a->parameter[i].default_value, number);
        char *aliases = at_arena_printf(arena, "%s%s", *a->parameter[i].aliases ? "|" : "", a->parameter[i].aliases);
        for (char *at = aliases; at && (at = strchr(at, ' ')) != NULL;)
            *at = '|';
        text = at_arena_printf(arena, "%s%s%s%s%s%s", text, i ? " " : "", a->parameter[i].name, aliases ? aliases : "",
                               a->parameter[i].has_default ? "=" : "", number);
    }
    return text;
}

/* The row before, which the gradient in `a` belongs to: of one file, with dy and then the same parameters. */
static at_builtin *row_of_gradient(rows *r, const at_activation *a)
{
    at_builtin *row = r->count ? &r->row[r->count - 1] : NULL;
    if (!row || strcmp(row->name, a->gradient_of) || a->parameters < 1 || strcmp(a->parameter[0].name, "dy"))
        return NULL;
    const char *at = row->parameters;
    for (int i = 1; i < a->parameters; i++) {
        size_t length = strcspn(at, "|= ");
        if (strlen(a->parameter[i].name) != length || strncmp(at, a->parameter[i].name, length))
            return NULL;
        at += strcspn(at, " ");
        at += *at == ' ';
    }
    return *at ? NULL : row;
}

static actune_status add_row(void *user, const at_activation *a)
{
    rows *r = user;
    at_strbuf text = {0};
    at_graph_print(&a->graph, &text);
    AT_TRY(at_strbuf_status(&text));
    const char *graph = at_arena_strdup(&r->arena, at_strbuf_text(&text));
    at_strbuf_clear(&text);
    if (a->gradient_of) {
        at_builtin *row = row_of_gradient(r, a);
        if (!row)
            return at_fail(ACTUNE_SYNTAX, "%s: the gradient of '%s' stands behind it and takes y, dy and its parameters",
                           a->name, a->gradient_of);
        row->gradient = graph;
        return ACTUNE_OK;
    }
    if (r->count == ROWS_MAX)
        return at_fail(ACTUNE_UNSUPPORTED, "more than %d built-in activations", ROWS_MAX);
    r->row[r->count++] =
        (at_builtin){a->name, a->formula, a->aliases, parameters_text(a, &r->arena), a->requirements, graph, ""};
    return ACTUNE_OK;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const at_builtin *)a)->name, ((const at_builtin *)b)->name);
}

/* NO_COMPILER when libclang is missing: nothing else is wrong then. */
static actune_status from_definitions(char **paths, int count, rows *r)
{
    for (int i = 0; i < count; i++) {
        char *text = read_file(paths[i], &r->arena);
        if (!text)
            return at_fail(ACTUNE_IO, "%s cannot be read", paths[i]);
        AT_TRY(at_parse_c_file(paths[i], text, &r->arena, add_row, r));
    }
    qsort(r->row, (size_t)r->count, sizeof *r->row, by_name);
    for (int i = 1; i < r->count; i++)
        if (!strcmp(r->row[i - 1].name, r->row[i].name))
            return at_fail(ACTUNE_INVALID_ARGUMENT, "two definitions of '%s'", r->row[i].name);
    return ACTUNE_OK;
}

/* The value of "key: value", NULL for another key. */
static char *value_of(char *line, const char *key)
{
    size_t length = strlen(key);
    if (strncmp(line, key, length) || line[length] != ':')
        return NULL;
    return line + length + 1 + (line[length + 1] == ' ');
}

/* As print_golden writes it: five keys, then the graph, and behind a line "gradient:" that one's. */
static actune_status from_golden(const char *path, rows *r)
{
    char *text = read_file(path, &r->arena), *rest, *value;
    if (!text)
        return at_fail(ACTUNE_IO, "%s cannot be read", path);
    at_builtin *row = NULL;
    bool gradient = false;
    for (char *line = text; line && *line; line = rest) {
        rest = strchr(line, '\n');
        if (rest)
            *rest++ = 0;
        if ((value = value_of(line, "name")) && r->count < ROWS_MAX) {
            row = &r->row[r->count++];
            *row = (at_builtin){value, "", "", "", "", "", ""};
            gradient = false;
        } else if (row && (value = value_of(line, "formula"))) {
            row->formula = value;
        } else if (row && (value = value_of(line, "aliases"))) {
            row->aliases = value;
        } else if (row && (value = value_of(line, "parameters"))) {
            row->parameters = value;
        } else if (row && (value = value_of(line, "requires"))) {
            row->requirements = value;
        } else if (row && value_of(line, "gradient")) {
            gradient = true;
        } else if (row && *line) {
            const char **graph = gradient ? &row->gradient : &row->graph;
            *graph = at_arena_printf(&r->arena, "%s%s\n", *graph, line);
        }
    }
    return r->count ? ACTUNE_OK : at_fail(ACTUNE_SYNTAX, "%s has no activations", path);
}

static void print_golden(const rows *r, FILE *out)
{
    for (int i = 0; i < r->count; i++) {
        const at_builtin *b = &r->row[i];
        fprintf(out, "%sname: %s\nformula: %s\naliases: %s\nparameters: %s\nrequires: %s\n%s%s%s", i ? "\n" : "", b->name,
                b->formula, b->aliases, b->parameters, b->requirements, b->graph, *b->gradient ? "gradient:\n" : "", b->gradient);
    }
}

static void print_string(const char *text, FILE *out)
{
    fputc('"', out);
    for (; *text; text++)
        if (*text == '\n')
            fputs(text[1] ? "\\n\"\n     \"" : "\\n", out);
        else if (*text == '"' || *text == '\\')
            fprintf(out, "\\%c", *text);
        else
            fputc(*text, out);
    fputc('"', out);
}

static int print_table(const rows *r, const char *path)
{
    FILE *out = fopen(path, "w");
    if (!out) {
        perror(path);
        return 1;
    }
    fputs("/* Written by tools/make_builtins.c from templates/activations/. */\n#include \"codegen/builtins.h\"\n"
          "const at_builtin at_builtins[] = {\n",
          out);
    for (int i = 0; i < r->count; i++) {
        const char *const text[] = {r->row[i].name, r->row[i].formula, r->row[i].aliases, r->row[i].parameters,
                                    r->row[i].requirements, r->row[i].graph, r->row[i].gradient};
        for (int k = 0; k < 7; k++) {
            fputs(k ? ",\n     " : "    {", out);
            print_string(text[k], out);
        }
        fputs("},\n", out);
    }
    fprintf(out, "};\nconst int at_builtin_count = %d;\n", r->count);
    return fclose(out) ? 1 : 0;
}

int main(int argc, char **argv)
{
    bool golden = argc > 2 && !strcmp(argv[1], "--golden");
    if (argc < 4 && !golden) {
        fprintf(stderr, "usage: make_builtins OUTPUT.c GOLDEN.txt DEFINITION.c...\n"
                        "       make_builtins --golden DEFINITION.c...\n");
        return 2;
    }
    rows *r = calloc(1, sizeof *r);
    if (!r)
        return 1;
    int first = golden ? 2 : 3, result = 0;
    actune_status status = from_definitions(argv + first, argc - first, r);
    if (status == ACTUNE_NO_COMPILER && !golden) {
        fprintf(stderr, "warning: built-in activations are taken from %s: %s\n", argv[2], actune_last_error());
        status = from_golden(argv[2], r);
    }
    if (status != ACTUNE_OK) {
        fprintf(stderr, "error: %s\n", actune_last_error());
        result = 1;
    } else if (golden) {
        print_golden(r, stdout);
    } else {
        result = print_table(r, argv[1]);
    }
    at_arena_clear(&r->arena);
    free(r);
    return result;
}
