#include "compare_cuda.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "candidates_cudnn.h"

/* --- what a run shares --- */

actune_status at_cuda_comparer_open(at_cache *cache, const at_device *device, int threads, at_cuda_comparer **comparer)
{
    at_cuda_comparer *made = calloc(1, sizeof *made);
    if (!made)
        return at_fail(ACTUNE_NO_MEMORY, "no memory for a comparison");
    at_session *session = &made->session;
    made->options = (at_tune_options){.max_threads = threads};
    actune_status status = at_session_open(session, NULL, cache, device, &made->options);
    session->deadline_ns = INFINITY;
    if (status == ACTUNE_OK)
        status = at_pool_create(session->threads, &session->pool);
    if (status == ACTUNE_OK)
        status = session->backend->equip(session);
    if (status == ACTUNE_OK)
        *comparer = made;
    else
        at_cuda_comparer_close(made);
    return status;
}

void at_cuda_comparer_close(at_cuda_comparer *comparer)
{
    if (!comparer)
        return;
    at_session_close(&comparer->session);
    free(comparer);
}

/* --- of one kernel --- */

/* The default, cuDNN's functions, then what dispatch found: those that are cuDNN's stand there already. */
static actune_status fill_space(at_group *group, const at_dispatched *candidates, int count)
{
    group->space = calloc(1, sizeof *group->space);
    if (!group->space)
        return at_fail(ACTUNE_NO_MEMORY, "no memory for a comparison");
    AT_TRY(at_variant_default(group->kernel, group->layout, &group->session->target, &group->space[0]));
    AT_TRY(at_group_admit_in_place(group, &group->space[0]));
    group->space_count = 1;
    if (!group->in_place)
        AT_TRY(at_cudnn_offer(group));
    at_variant *grown = realloc(group->space, (size_t)(group->space_count + count) * sizeof *grown);
    if (!grown)
        return at_fail(ACTUNE_NO_MEMORY, "no memory for a comparison");
    group->space = grown;
    for (int i = 0; i < count; i++)
        if (!at_cudnn_is_variant(candidates[i].variant) &&
            at_variant_parse(candidates[i].variant, &group->arena, &group->space[group->space_count]) == ACTUNE_OK &&
            at_group_admit_in_place(group, &group->space[group->space_count]) == ACTUNE_OK)
            group->space_count++; /* a text of a later version is passed over */
    return ACTUNE_OK;
}

/* A code for each variant. */
static actune_status build(at_group *group)
{
    size_t count = (size_t)group->space_count;
    group->codes = calloc(count, sizeof *group->codes);
    group->candidates = calloc(count, sizeof *group->candidates);
    if (!group->codes || !group->candidates)
        return at_fail(ACTUNE_NO_MEMORY, "no memory for a comparison");
    for (int i = 0; i < group->space_count; i++) {
        group->codes[i] = (at_code){.twin = -1, .registers = -1, .spill_bytes = -1, .group = group};
        group->candidates[i] = (at_candidate){.variant = i, .code = i, .threads = 1};
    }
    group->code_count = group->candidate_count = group->space_count;
    return group->session->backend->build(group, 0, INFINITY);
}

static bool is_built(const at_code *code)
{
    return code->cuda || code->cudnn;
}

/* The first of the stored winners that is built and still is what was measured. */
static void take_winner(at_cuda_rivals *rivals, const at_dispatched *candidates, int count)
{
    const at_group *group = &rivals->group;
    for (int i = 0; i < count; i++) {
        int found = at_group_find(group, candidates[i].variant);
        const at_code *code = found >= 0 ? &group->codes[found] : NULL;
        if (!code || !is_built(code) || strcmp(code->source_hash.hex, candidates[i].source_hash.hex) != 0)
            continue;
        rivals->tuned = code;
        rivals->tier = candidates[i].tier;
        return;
    }
}

/* Of cuDNN's graphs the one that its heuristic puts first. */
static void take_cudnn(at_cuda_rivals *rivals)
{
    const at_group *group = &rivals->group;
    for (int i = group->offered_count; i >= 1; i--) {
        const at_code *code = &group->codes[i];
        if (!is_built(code))
            continue;
        if (code->cudnn->function.algorithm == AT_CUDNN_GRAPH)
            rivals->cudnn_graph = code;
        else
            rivals->cudnn = code;
    }
}

actune_status at_cuda_rivals_init(at_cuda_rivals *rivals, const at_dispatched *candidates, int count)
{
    at_group *group = &rivals->group;
    rivals->tier = "default";
    AT_TRY(fill_space(group, candidates, count));
    AT_TRY(build(group));
    if (!group->codes[0].cuda)
        return at_fail(ACTUNE_COMPILE, "the default variant of '%s' cannot be used: %s", group->kernel->spec,
                       group->codes[0].log ? group->codes[0].log : "not built");
    rivals->plain = rivals->tuned = &group->codes[0];
    take_winner(rivals, candidates, count);
    take_cudnn(rivals);
    return ACTUNE_OK;
}

void at_cuda_rivals_clear(at_cuda_rivals *rivals)
{
    at_group_clear(&rivals->group);
    *rivals = (at_cuda_rivals){0};
}
