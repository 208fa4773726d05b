/* Search strategies: which variants of a space are tried. Tuning goes in two stages (see README.md): first the core
   knobs, which decide how fast the arithmetic is, at a cache-resident size; then all others, by size, around the
   winners of the first. */
#ifndef AT_TUNER_SEARCH_H
#define AT_TUNER_SEARCH_H

#include "../codegen/variant.h"
#include "stats.h"

typedef struct at_search_stage {
    const at_variant *variants; /* the whole space, the default first */
    int count;
    const int *seeds; /* winners of the first stage; none: this is the first stage */
    int seed_count;
} at_search_stage;

typedef struct at_search {
    const char *name;
    /* Writes at most `most` indices of different variants to `picked`; returns how many. The tuner adds default and
     * incumbent itself. */
    int (*pick)(const at_search_stage *stage, at_random *random, int *picked, int most);
    /* What is asked after a race whose fastest few are the stage's seeds; NULL: nothing, all was asked at once. As pick. */
    int (*refine)(const at_search_stage *stage, int *picked, int most);
} at_search;

extern const at_search at_search_exhaustive; /* every variant of the stage */
extern const at_search at_search_sampled;    /* each knob alone around the default and a random sample; then each knob alone around the fastest */
extern const at_search at_search_random;     /* a random sample, the first stage over all knobs at once */

/* By name; NULL names the default. NULL when there is none. */
const at_search *at_search_find(const char *name);

/* Same values of the core knobs (math, width, unroll), and of all others. */
bool at_same_core(const at_variant *a, const at_variant *b);
bool at_same_rest(const at_variant *a, const at_variant *b);

#endif
