/* Mutated graph texts, a fixed seed and a fixed count: whatever at_graph_parse accepts, it prints again unchanged. */
#include "codegen/graph.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static uint64_t state = 20240611;

static uint32_t next(uint32_t below)
{
    state = state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(state >> 33) % below;
}

static const char *const seeds[] = {
    "%0 = input 0\n%1 = sigmoid %0\n%2 = mul %0 %1\nreturn %2\n",
    "%0 = input 0\n%1 = const 0\n%2 = gt %0 %1\n%3 = const 0.01\n%4 = mul %0 %3\n%5 = select %2 %0 %4\nreturn %5 %0\n",
    "%0 = input 1\n%1 = const -1.5e-45\n%2 = fma %0 %1 %0\n%3 = round %2\n%4 = grad_clip %3 %1\nreturn %4\n",
    "%0 = const nan\n%1 = const -inf\n%2 = stretch 3 %1\nreturn %0 %1 %2\n",
};
static const char *const pieces[] = {"%",      "0",      "1",      "9",  " ",          "\n",  "=",   " = ",
                                     "return", "const ", "input ", "e",  "-",          ".",   "nan", "inf",
                                     "lt",     "add",    "select", "%1", "%999999999", "not", "\r"};

static void mutate(char *text, size_t capacity)
{
    size_t length = strlen(text), at = next((uint32_t)length + 1);
    size_t cut = next(4) ? 0 : next(6);
    if (cut > length - at)
        cut = length - at;
    const char *insert = next(3) ? pieces[next(sizeof pieces / sizeof *pieces)] : "";
    size_t more = strlen(insert);
    if (length - cut + more >= capacity)
        return;
    memmove(text + at + more, text + at + cut, length - at - cut + 1);
    memcpy(text + at, insert, more);
}

int main(void)
{
    enum { ROUNDS = 200000 };
    int accepted = 0;
    for (int i = 0; i < ROUNDS; i++) {
        char text[1024];
        snprintf(text, sizeof text, "%s", seeds[next(sizeof seeds / sizeof *seeds)]);
        for (uint32_t k = next(4); k > 0; k--)
            mutate(text, sizeof text);
        /* An exact-size copy, so that AddressSanitizer sees a read past the end. */
        char *exact = strdup(text);
        at_graph graph;
        actune_status status = at_graph_parse(exact, &graph);
        at_strbuf printed = {0};
        if (status == ACTUNE_OK)
            at_graph_print(&graph, &printed);
        if (status == ACTUNE_OK ? strcmp(at_strbuf_text(&printed), exact) != 0 : status != ACTUNE_SYNTAX) {
            fprintf(stderr, "status %d for:\n%s", (int)status, exact);
            return 1;
        }
        accepted += status == ACTUNE_OK;
        at_strbuf_clear(&printed);
        at_graph_clear(&graph);
        free(exact);
    }
    printf("%d texts, %d accepted\n", ROUNDS, accepted);
    return accepted == 0;
}
