/* Fragments: the small functions and types that generated code is written with (templates/cpu/isa, templates/math). */
#ifndef AT_CODEGEN_FRAGMENT_H
#define AT_CODEGEN_FRAGMENT_H

#include "../runtime/base/arena.h"
#include "template.h"

/* The fragments written so far, each once, in an order in which C takes them. `{0}` is an empty one. */
typedef struct at_fragments {
    at_strbuf types, text; /* types come first */
    at_arena arena;
    struct at_fragment_done *done; /* list */
} at_fragments;

void at_fragments_clear(at_fragments *fragments);

/* Writes every fragment that `text` names, and those that these name, unless it is there already. `scope`: isa, lanes,
   T and the knobs. */
actune_status at_fragments_add(at_fragments *fragments, at_scope *scope, const char *text);

#endif
