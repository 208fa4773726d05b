#include "search.h"

#include <string.h>

static const at_search *const searches[] = {&at_search_exhaustive, &at_search_random, &at_search_sampled};

static const char *const core_knobs[] = {"math", "width", "unroll"};

const at_search *at_search_find(const char *name)
{
    for (size_t i = 0; i < sizeof searches / sizeof *searches; i++)
        if (!name || strcmp(name, searches[i]->name) == 0)
            return searches[i];
    return NULL;
}

static bool is_core(const char *name)
{
    for (size_t i = 0; i < sizeof core_knobs / sizeof *core_knobs; i++)
        if (strcmp(name, core_knobs[i]) == 0)
            return true;
    return false;
}

static bool same_knobs(const at_variant *a, const at_variant *b, bool core)
{
    for (int i = 0; i < a->knobs; i++)
        if (is_core(a->knob[i].name) == core && strcmp(a->knob[i].value, at_variant_knob(b, a->knob[i].name, "")) != 0)
            return false;
    return true;
}

bool at_same_core(const at_variant *a, const at_variant *b)
{
    return same_knobs(a, b, true);
}

bool at_same_rest(const at_variant *a, const at_variant *b)
{
    return same_knobs(a, b, false);
}
