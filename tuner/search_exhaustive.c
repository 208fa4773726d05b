#include "search.h"

static bool belongs(const at_search_stage *stage, const at_variant *variant)
{
    if (stage->seed_count == 0)
        return at_same_rest(variant, &stage->variants[0]);
    for (int i = 0; i < stage->seed_count; i++)
        if (at_same_core(variant, &stage->variants[stage->seeds[i]]))
            return true;
    return false;
}

static int pick(const at_search_stage *stage, at_random *random, int *picked, int most)
{
    (void)random;
    int count = 0;
    for (int i = 0; i < stage->count && count < most; i++)
        if (belongs(stage, &stage->variants[i]))
            picked[count++] = i;
    return count;
}

const at_search at_search_exhaustive = {"exhaustive", pick, NULL};
