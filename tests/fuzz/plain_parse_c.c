/* Mutated C texts, for a few seconds (argument: how many; 0 seconds tries each seed once): the front end accepts with a
   graph that prints and reads back, or refuses with a message that names the file. Run it long under AddressSanitizer.
 */
#include "codegen/parse_clang.h"

#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { SEEDS_MAX = 128, SEED_BYTES = 4096, TEXT_BYTES = 8192, DEFAULT_SECONDS = 4, SAMPLES = 5 };

static uint64_t state = 20240611;
static char *seeds[SEEDS_MAX];
static int seed_count;

static uint32_t next(uint32_t below)
{
    state = state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(state >> 33) % below;
}

static const char *const own_seeds[] = {
    "#define MAX(a, b) ((a) > (b) ? (a) : (b))\n#ifdef NO\n#else\n"
    "float f(float x, float k) { float y; if (x > k) y = MAX(x, 1); else return -x; return y * 0.5; }\n#endif\n",
    "static const float A = -1.5e-3f;\nstatic float g(float x) { return expf(x) + A; }\n"
    "float f(float x) { int n = (x > 0) - (x < 0); n += 1; n++; bool b = n && !x; return b ? g(g(x)) : n; }\n",
    "/* actune: a = 1, b = 2 */\ndouble f(double x, double a, double b)\n{\n    double y = a, z;\n    y = z = b;\n"
    "    if (isnan(x) || x > 1e3)\n        return fma(x, y, z);\n    else if (x < -1)\n        y *= 2;\n    return "
    "y;\n}\n",
    "float f(float x) { for (int i = 0; i < 3; i++) { switch (i) { case 1: goto e; } } e: asm(\"\"); return x; }",
    "float f(float *x, ...) { static volatile double y[2] = {1}; struct s { int a; } t; return sizeof *x, y[0] + t.a; "
    "}",
};

static const char *const pieces[] = {
    "(",
    ")",
    "{",
    "}",
    ";",
    ",",
    "=",
    "?",
    ":",
    "+",
    "-",
    "*",
    "/",
    "&&",
    "||",
    "!",
    "<",
    ">=",
    "==",
    "++",
    "--",
    "+=",
    "&",
    "~",
    "%",
    "#",
    "##",
    "\\\n",
    "\n",
    "/*",
    "*/",
    "//",
    "\"",
    "'",
    "x",
    "f",
    "float ",
    "double ",
    "int ",
    "bool ",
    "void ",
    "const ",
    "static ",
    "extern ",
    "return ",
    "if (x) ",
    "else ",
    "for (;;) ",
    "while (x) ",
    "do ",
    "switch",
    "goto ",
    "case 1:",
    "asm(\"\")",
    "1",
    "0.5f",
    "1e400",
    "0x1p3",
    "1/2",
    "2147483647",
    "expf(x)",
    "f(x)",
    "actune_max(x, 0)",
    "NAN",
    "INFINITY",
    "M_PI",
    "\n#define A ",
    "\n#define F(x) ",
    "A",
    "F(x)",
    "\n#if 0\n",
    "\n#endif\n",
    "\n#else\n",
    "\n#include <math.h>\n",
    "\n#include \"x.h\"\n",
    "_Generic(",
    "({",
    "})",
    "__attribute__((unused)) ",
    "typeof(x) ",
    "_Complex ",
    "[2]",
    ".a",
    "->a",
    "\xff",
    "\t",
    "long ",
    "unsigned ",
    "/* actune: k = 1 */",
    "(float)",
    "(int)",
    "__builtin_",
    "1u",
    "x ?: 1",
    "float y;",
    "y",
    "y = x;",
    "struct s ",
};

static void read_definitions(const char *folder)
{
    DIR *directory = opendir(folder);
    for (struct dirent *entry; directory && (entry = readdir(directory)) && seed_count < SEEDS_MAX;) {
        char path[1024];
        if (!strstr(entry->d_name, ".c"))
            continue;
        snprintf(path, sizeof path, "%s/%s", folder, entry->d_name);
        FILE *in = fopen(path, "r");
        char *text = calloc(1, SEED_BYTES);
        if (in && text && fread(text, 1, SEED_BYTES - 1, in) > 0)
            seeds[seed_count++] = text;
        if (in)
            fclose(in);
    }
    if (directory)
        closedir(directory);
}

static void mutate(char *text)
{
    size_t length = strlen(text), at = next((uint32_t)length + 1);
    size_t cut = next(3) ? 0 : next(20);
    if (cut > length - at)
        cut = length - at;
    char insert[64] = "";
    if (next(4))
        snprintf(insert, sizeof insert, "%s", pieces[next(sizeof pieces / sizeof *pieces)]);
    else if (length) /* a piece of the text itself */
        snprintf(insert, 2 + next(40), "%s", text + next((uint32_t)length));
    size_t more = strlen(insert);
    if (length - cut + more >= TEXT_BYTES)
        return;
    memmove(text + at + more, text + at + cut, length - at - cut + 1);
    memcpy(text + at, insert, more);
}

/* The graph is what it says: it prints, reads back and can be evaluated. */
static bool graph_holds(const at_graph *graph)
{
    static const long double samples[SAMPLES] = {-1e9L, -1, 0, 0.3L, 1e9L};
    at_strbuf first = {0}, second = {0};
    at_graph again;
    at_graph_print(graph, &first);
    bool holds = at_graph_parse(at_strbuf_text(&first), &again) == ACTUNE_OK;
    if (holds)
        at_graph_print(&again, &second);
    holds = holds && !strcmp(at_strbuf_text(&first), at_strbuf_text(&second));
    long double *values = calloc((size_t)graph->count + 1, sizeof *values), inputs[AT_PARAMETERS_MAX + 1] = {0};
    for (int i = 0; i < SAMPLES && values; i++) {
        inputs[0] = samples[i];
        at_graph_eval(graph, inputs, values);
    }
    free(values);
    at_graph_clear(&again);
    at_strbuf_clear(&first);
    at_strbuf_clear(&second);
    return holds;
}

static bool outcome_holds(actune_status status, const at_activation *activation)
{
    if (status == ACTUNE_OK)
        return graph_holds(&activation->graph);
    return (status == ACTUNE_SYNTAX || status == ACTUNE_UNSUPPORTED || status == ACTUNE_NOT_FOUND) &&
           !strncmp(actune_last_error(), "my.c:", 5);
}

static actune_status check_each(void *user, const at_activation *activation)
{
    *(bool *)user = *(bool *)user && graph_holds(&activation->graph);
    return ACTUNE_OK;
}

static bool try_text(const char *text, int *accepted)
{
    char *exact = strdup(text); /* so that AddressSanitizer sees a read past the end */
    at_arena arena = {0};
    at_activation activation;
    bool all_hold = true;
    actune_status status = at_parse_c("my.c", exact, "f", &arena, &activation);
    bool holds = outcome_holds(status, &activation);
    *accepted += status == ACTUNE_OK;
    at_graph_clear(&activation.graph);
    status = at_parse_c_file("my.c", exact, &arena, check_each, &all_hold);
    *accepted += status == ACTUNE_OK;
    holds = holds && all_hold && (status == ACTUNE_OK || outcome_holds(status, NULL));
    if (!holds)
        fprintf(stderr, "status %d, %s, for:\n%s\n", (int)status, actune_last_error(), exact);
    at_arena_clear(&arena);
    free(exact);
    return holds;
}

int main(int argc, char **argv)
{
    time_t end = time(NULL) + (argc > 1 ? atoi(argv[1]) : DEFAULT_SECONDS);
    state += argc > 2 ? strtoull(argv[2], NULL, 10) : 0;
    int accepted = 0, tried = 0;
    for (size_t i = 0; i < sizeof own_seeds / sizeof *own_seeds; i++)
        seeds[seed_count++] = strdup(own_seeds[i]);
    read_definitions(ACTUNE_SOURCE_DIR "/templates/activations");
    if (!*at_parse_c_version()) {
        printf("no libclang here: nothing to try\n");
        return 0;
    }
    for (int i = 0; i < seed_count || time(NULL) < end; i++, tried++) {
        char text[TEXT_BYTES];
        snprintf(text, sizeof text, "%s", seeds[i < seed_count ? i : (int)next((uint32_t)seed_count)]);
        for (uint32_t k = i < seed_count ? 0 : 1 + next(5); k > 0; k--)
            mutate(text);
        if (!try_text(text, &accepted))
            return 1;
    }
    printf("%d texts, %d accepted\n", tried, accepted);
    for (int i = 0; i < seed_count; i++)
        free(seeds[i]);
    return accepted < seed_count;
}
