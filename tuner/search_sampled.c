/* For spaces of tens of thousands of variants, as CUDA's: each knob varied alone around the default and the seeds, then a random rest. What
   comes first is compiled first, so that a short budget still asks every knob. */
#include "search.h"

#include <string.h>

enum { REST = 160 };

static int differences(const at_variant *a, const at_variant *b)
{
    int count = 0;
    for (int i = 0; i < a->knobs; i++)
        count += strcmp(a->knob[i].value, at_variant_knob(b, a->knob[i].name, "")) != 0;
    return count;
}

/* The default is variant 0. */
static bool is_near(const at_search_stage *stage, int variant)
{
    const at_variant *own = &stage->variants[variant];
    bool near = differences(own, &stage->variants[0]) <= 1;
    for (int i = 0; i < stage->seed_count && !near; i++)
        near = differences(own, &stage->variants[stage->seeds[i]]) <= 1;
    return near;
}

/* The rest is drawn by reservoir sampling, then put into random order: the reservoir's own follows the walk of the space. */
static int pick(const at_search_stage *stage, at_random *random, int *picked, int most)
{
    int near = 0, seen = 0;
    for (int i = 0; i < stage->count && near < most; i++)
        if (is_near(stage, i))
            picked[near++] = i;
    int wanted = most - near < REST ? most - near : REST;
    for (int i = 0; i < stage->count; i++) {
        if (is_near(stage, i))
            continue;
        uint64_t place = (uint64_t)seen < (uint64_t)wanted ? (uint64_t)seen : at_random_below(random, (uint64_t)seen + 1);
        if (place < (uint64_t)wanted)
            picked[near + (int)place] = i;
        seen++;
    }
    int rest = seen < wanted ? seen : wanted;
    at_random_shuffle(random, picked + near, rest);
    return near + rest;
}

/* Each knob of each seed alone; the seeds themselves are the caller's. */
static int refine(const at_search_stage *stage, int *picked, int most)
{
    int count = 0;
    for (int i = 0; i < stage->count && count < most; i++) {
        bool near = false, seed = false;
        for (int s = 0; s < stage->seed_count && !seed; s++) {
            const at_variant *around = &stage->variants[stage->seeds[s]];
            seed = stage->seeds[s] == i;
            near |= strcmp(stage->variants[i].template_name, around->template_name) == 0 && differences(&stage->variants[i], around) == 1;
        }
        if (near && !seed)
            picked[count++] = i;
    }
    return count;
}

const at_search at_search_sampled = {"sampled", pick, refine};
