/* From the space to functions that may be timed: enumerate, generate, compile, drop twins, verify. */
#include "session.h"

#include "../codegen/emit_cuda.h"

#include <stdlib.h>
#include <string.h>

/* --- the space --- */

typedef struct space_list {
    at_group *group;
    int capacity;
} space_list;

/* On a GPU; on a CPU every kernel may work in place. */
static bool needs_in_place(const at_group *group)
{
    return group->in_place && group->session->target.cuda;
}

actune_status at_group_admit_in_place(const at_group *group, at_variant *variant)
{
    return needs_in_place(group) ? at_cuda_variant_in_place(variant) : ACTUNE_OK;
}

static actune_status keep_variant(void *user, const at_variant *variant)
{
    space_list *list = user;
    at_group *group = list->group;
    if (atoi(at_variant_knob(variant, "threads", "1")) > group->session->threads)
        return ACTUNE_OK;
    if (needs_in_place(group) && strcmp(at_variant_knob(variant, "load", "none"), "nc") == 0)
        return ACTUNE_OK; /* in place it would be another one of the walk */
    if (group->space_count == list->capacity) {
        int capacity = list->capacity ? 2 * list->capacity : 256;
        at_variant *grown = realloc(group->space, (size_t)capacity * sizeof *grown);
        if (!grown)
            return at_fail(ACTUNE_NO_MEMORY, "no memory for the search space");
        group->space = grown;
        list->capacity = capacity;
    }
    group->space[group->space_count] = *variant;
    return at_group_admit_in_place(group, &group->space[group->space_count++]);
}

/* The first variant of the walk may have a form that does not reach the kernel's class; the default is the first that
 * does. */
static actune_status default_first(at_group *group)
{
    at_variant found;
    AT_TRY(at_variant_default(group->kernel, group->layout, &group->session->target, &found));
    AT_TRY(at_group_admit_in_place(group, &found));
    int at = 0;
    while (at < group->space_count - 1 &&
           !(at_same_core(&group->space[at], &found) && at_same_rest(&group->space[at], &found)))
        at++;
    found = group->space[at];
    memmove(group->space + 1, group->space, (size_t)at * sizeof found);
    group->space[0] = found;
    return ACTUNE_OK;
}

actune_status at_group_enumerate(at_group *group)
{
    space_list list = {.group = group};
    AT_TRY(at_variant_each(group->kernel, group->layout, &group->session->target, keep_variant, &list));
    if (group->space_count == 0)
        return at_fail(ACTUNE_UNSUPPORTED, "no template has a variant of '%s' for this machine", group->kernel->spec);
    AT_TRY(default_first(group));
    /* What cuDNN does in place nobody has verified. */
    return group->session->backend->offer && !group->in_place ? group->session->backend->offer(group) : ACTUNE_OK;
}

int at_group_find(const at_group *group, const char *text)
{
    int found = -1;
    at_strbuf own = {0};
    for (int i = 0; i < group->space_count && found < 0; i++) {
        at_strbuf_clear(&own);
        at_variant_print(&group->space[i], &own);
        if (strcmp(at_strbuf_text(&own), text) == 0)
            found = i;
    }
    at_strbuf_clear(&own);
    return found;
}

actune_status at_variant_hash(const at_session *session, const at_kernel *kernel, at_layout layout, const char *text,
                              at_hash *hash)
{
    at_arena arena = {0};
    at_variant variant;
    at_strbuf source = {0};
    at_cudnn_variant theirs;
    if (at_cudnn_is_variant(text)) {
        AT_TRY(at_cudnn_variant_find(kernel, text, &theirs));
        *hash = theirs.source_hash;
        return ACTUNE_OK;
    }
    actune_status status = at_variant_parse(text, &arena, &variant);
    at_generate_item item = {.kernel = kernel, .layout = layout, .variant = &variant};
    if (status == ACTUNE_OK)
        status = at_generate_batch(&item, 1, &session->target, &source);
    if (status == ACTUNE_OK)
        status = item.status;
    *hash = item.source_hash;
    at_strbuf_clear(&source);
    at_arena_clear(&arena);
    return status;
}

/* --- candidates and codes --- */

const at_candidate *at_group_candidate(const at_group *group, int variant)
{
    for (int i = 0; i < group->candidate_count; i++)
        if (group->candidates[i].variant == variant)
            return &group->candidates[i];
    return NULL;
}

bool at_code_is_built(const at_code *code)
{
    return code->function || code->cuda || code->cudnn;
}

bool at_candidate_usable(const at_group *group, const at_candidate *candidate)
{
    const at_code *code = &group->codes[candidate->code];
    return at_code_is_built(code) && !code->log && !code->dropped && code->twin < 0 && code->verified;
}

static bool is_launch_knob(const at_knob *knobs, int count, const char *name)
{
    for (int i = 0; i < count; i++)
        if (strcmp(knobs[i].name, name) == 0)
            return knobs[i].launch;
    return false;
}

static bool same_code(const at_variant *a, const at_variant *b)
{
    const at_knob *knobs;
    int count;
    if (strcmp(a->template_name, b->template_name) != 0 ||
        at_template_knobs(a->template_name, &knobs, &count) != ACTUNE_OK)
        return false;
    for (int i = 0; i < a->knobs; i++)
        if (!is_launch_knob(knobs, count, a->knob[i].name) &&
            strcmp(a->knob[i].value, at_variant_knob(b, a->knob[i].name, "")) != 0)
            return false;
    return true;
}

static void *grown(void *items, int count, int *capacity, size_t bytes)
{
    if (count < *capacity)
        return items;
    int wanted = *capacity ? 2 * *capacity : 64;
    void *moved = realloc(items, (size_t)wanted * bytes);
    if (moved)
        *capacity = wanted;
    return moved;
}

/* Adds the variant as a candidate; a code that is new has its source hash still empty. */
static actune_status add_candidate(at_group *group, int variant)
{
    if (at_group_candidate(group, variant))
        return ACTUNE_OK;
    at_candidate *candidates =
        grown(group->candidates, group->candidate_count, &group->candidate_capacity, sizeof *candidates);
    if (!candidates)
        return at_fail(ACTUNE_NO_MEMORY, "no memory for candidates");
    group->candidates = candidates;
    int code = -1;
    for (int i = 0; i < group->candidate_count && code < 0; i++)
        if (same_code(&group->space[candidates[i].variant], &group->space[variant]))
            code = candidates[i].code;
    if (code < 0) {
        at_code *codes = grown(group->codes, group->code_count, &group->code_capacity, sizeof *codes);
        if (!codes)
            return at_fail(ACTUNE_NO_MEMORY, "no memory for candidates");
        group->codes = codes;
        code = group->code_count++;
        codes[code] = (at_code){.twin = -1, .registers = -1, .spill_bytes = -1, .group = group};
    }
    candidates[group->candidate_count++] =
        (at_candidate){.variant = variant, .code = code, .threads = atoi(at_variant_knob(&group->space[variant], "threads", "1"))};
    return ACTUNE_OK;
}

const at_variant *at_code_variant(const at_group *group, int code)
{
    for (int i = 0; i < group->candidate_count; i++)
        if (group->candidates[i].code == code)
            return &group->space[group->candidates[i].variant];
    return NULL;
}

void at_code_fail(at_code *code, const char *message)
{
    free(code->log);
    code->log = strdup(message[0] ? message : "failed without a message");
}

/* --- verifying --- */

/* All that are not verified yet, from `first` on and then those before it: there may have been no time. The default always is. */
static actune_status verify(at_group *group, int first, double until_ns)
{
    at_session *session = group->session;
    if (!group->has_reference) {
        group->has_reference = true;
        AT_TRY(at_reference_init(&group->reference, group->kernel, group->layout, session->options->seed));
    }
    for (int i = 0; i < group->code_count; i++) {
        at_code *code = &group->codes[(first + i) % group->code_count];
        if (!at_code_is_built(code) || code->log || code->dropped || code->twin >= 0 || code->verified)
            continue;
        if (at_session_stopped(session))
            return at_fail(ACTUNE_INTERRUPTED, "interrupted while verifying");
        if (i > 0 && at_now_ns() > until_ns)
            return ACTUNE_OK;
        at_verify_target target;
        session->backend->verify_target(group, code, &target);
        actune_status status = at_verify(&group->reference, &target, &code->report);
        if (status != ACTUNE_OK && status != ACTUNE_DEVICE)
            return status;
        code->verified = true;
        if (status != ACTUNE_OK)
            at_code_fail(code, actune_last_error());
        else if (!code->report.passed)
            at_code_fail(code, code->report.detail);
        at_session_progress(session, "verify");
    }
    return ACTUNE_OK;
}

actune_status at_group_prepare(at_group *group, const int *variants, int count, double until_ns)
{
    int first_code = group->code_count;
    for (int i = 0; i < count; i++)
        AT_TRY(add_candidate(group, variants[i]));
    double now = at_now_ns(), half = now + (until_ns - now) / 2; /* the other half is for verifying */
    AT_TRY(group->session->backend->build(group, first_code, half));
    AT_TRY(verify(group, first_code, until_ns));
    return at_record_codes(group);
}

void at_group_clear(at_group *group)
{
    for (int i = 0; i < group->code_count; i++) {
        at_binary_release(group->codes[i].binary);
        at_cuda_kernel_destroy(group->codes[i].cuda);
        free(group->codes[i].cudnn);
        free(group->codes[i].log);
    }
    free(group->codes);
    free(group->candidates);
    free(group->space);
    at_binary_release(group->plain_binary);
    if (group->has_reference)
        at_reference_clear(&group->reference);
    at_arena_clear(&group->arena);
}
