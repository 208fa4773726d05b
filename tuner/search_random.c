#include "search.h"

enum { FIRST_STAGE = 48, SECOND_STAGE = 16 };

static bool belongs(const at_search_stage *stage, const at_variant *variant)
{
    for (int i = 0; i < stage->seed_count; i++)
        if (at_same_core(variant, &stage->variants[stage->seeds[i]]))
            return true;
    return stage->seed_count == 0;
}

/* Reservoir sampling (Vitter's algorithm R): every variant of the stage with the same chance, in one walk. */
static int pick(const at_search_stage *stage, at_random *random, int *picked, int most)
{
    int wanted = stage->seed_count == 0 ? FIRST_STAGE : SECOND_STAGE, seen = 0;
    wanted = wanted < most ? wanted : most;
    for (int i = 0; i < stage->count; i++) {
        if (!belongs(stage, &stage->variants[i]))
            continue;
        if (seen++ < wanted)
            picked[seen - 1] = i;
        else {
            uint64_t place = at_random_below(random, (uint64_t)seen);
            if (place < (uint64_t)wanted)
                picked[place] = i;
        }
    }
    return seen < wanted ? seen : wanted;
}

const at_search at_search_random = {"random", pick, NULL};
