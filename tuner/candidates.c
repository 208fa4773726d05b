/* From the space to functions that may be timed: enumerate, generate, compile, drop twins, verify. */
#include "session.h"

#include <stdlib.h>
#include <string.h>

/* --- the space --- */

typedef struct space_list {
    at_group *group;
    int capacity;
} space_list;

static actune_status keep_variant(void *user, const at_variant *variant)
{
    space_list *list = user;
    at_group *group = list->group;
    if (atoi(at_variant_knob(variant, "threads", "1")) > group->session->threads)
        return ACTUNE_OK;
    if (group->space_count == list->capacity) {
        int capacity = list->capacity ? 2 * list->capacity : 256;
        at_variant *grown = realloc(group->space, (size_t)capacity * sizeof *grown);
        if (!grown)
            return at_fail(ACTUNE_NO_MEMORY, "no memory for the search space");
        group->space = grown;
        list->capacity = capacity;
    }
    group->space[group->space_count++] = *variant;
    return ACTUNE_OK;
}

/* The first variant of the walk may have a form that does not reach the kernel's class; the default is the first that
 * does. */
static actune_status default_first(at_group *group)
{
    at_variant found;
    AT_TRY(at_variant_default(group->kernel, group->layout, &group->session->target, &found));
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
    return default_first(group);
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

bool at_candidate_usable(const at_group *group, const at_candidate *candidate)
{
    const at_code *code = &group->codes[candidate->code];
    return code->function && !code->log && code->twin < 0 && code->verified;
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
        codes[code] = (at_code){.twin = -1};
    }
    candidates[group->candidate_count++] =
        (at_candidate){variant, code, atoi(at_variant_knob(&group->space[variant], "threads", "1"))};
    return ACTUNE_OK;
}

static const at_variant *variant_of_code(const at_group *group, int code)
{
    for (int i = 0; i < group->candidate_count; i++)
        if (group->candidates[i].code == code)
            return &group->space[group->candidates[i].variant];
    return NULL;
}

/* --- compiling --- */

typedef struct batch {
    at_group *group;
    int first, count; /* codes */
    at_strbuf source;
    actune_status status;
    at_binary *binary;
    at_build_info info;
    at_strbuf message;
} batch;

static void note_failure(at_code *code, const char *message)
{
    free(code->log);
    code->log = strdup(message[0] ? message : "failed without a message");
}

static void generate(batch *of)
{
    at_group *group = of->group;
    at_generate_item items[AT_BATCH];
    for (int i = 0; i < of->count; i++)
        items[i] = (at_generate_item){
            .kernel = group->kernel, .layout = group->layout, .variant = variant_of_code(group, of->first + i)};
    of->status = at_generate_batch(items, of->count, &group->session->target, &of->source);
    for (int i = 0; i < of->count; i++) {
        at_code *code = &group->codes[of->first + i];
        bool ok = of->status == ACTUNE_OK && items[i].status == ACTUNE_OK && items[i].symbol[0];
        code->absent = !ok && items[i].status == ACTUNE_UNSUPPORTED;
        code->source_hash = items[i].source_hash;
        memcpy(code->symbol, items[i].symbol, sizeof code->symbol);
        if (!ok)
            note_failure(code, actune_last_error());
    }
}

static void compile(batch *of)
{
    const at_session *session = of->group->session;
    if (of->status != ACTUNE_OK)
        return;
    of->status = at_binary_build(session->cache, at_strbuf_text(&of->source), at_isa_name(session->device->isa), false,
                                 &of->binary, &of->info);
    if (of->status != ACTUNE_OK)
        at_strbuf_append(&of->message, actune_last_error()); /* belongs to the worker's thread */
}

static void compile_piece(void *user, int piece)
{
    compile(&((batch *)user)[piece]);
}

/* Hands the batch's binary to its codes; the first of them owns it. */
static void load(batch *of)
{
    at_group *group = of->group;
    bool owned = false;
    for (int i = 0; i < of->count; i++) {
        at_code *code = &group->codes[of->first + i];
        if (code->log)
            continue;
        if (of->status != ACTUNE_OK) {
            note_failure(code, at_strbuf_text(&of->message));
            continue;
        }
        code->function = at_binary_symbol(of->binary, code->symbol);
        code->code_bytes = at_binary_code(of->binary, code->symbol, &code->machine_hash);
        code->compile_ms = of->info.compile_ms / of->count;
        code->binary = owned ? NULL : of->binary;
        owned = true;
        if (!code->function)
            note_failure(code, "the symbol is missing in the binary");
    }
    if (!owned && of->binary)
        at_binary_release(of->binary);
    at_strbuf_clear(&of->source);
    at_strbuf_clear(&of->message);
}

/* A batch that does not compile is taken apart, so that one bad variant does not cost the others. */
static void compile_one_by_one(batch *whole)
{
    at_group *group = whole->group;
    for (int i = 0; i < whole->count; i++) {
        at_code *code = &group->codes[whole->first + i];
        if (code->absent)
            continue;
        batch one = {.group = group, .first = whole->first + i, .count = 1};
        free(code->log);
        code->log = NULL;
        generate(&one);
        compile(&one);
        load(&one);
    }
    at_strbuf_clear(&whole->source);
    at_strbuf_clear(&whole->message);
}

static void mark_twins(at_group *group, int first)
{
    for (int i = first; i < group->code_count; i++) {
        at_code *code = &group->codes[i];
        for (int k = 0; k < i && code->twin < 0 && code->function && code->code_bytes > 0; k++) {
            const at_code *other = &group->codes[k];
            if (other->function && other->twin < 0 && other->code_bytes == code->code_bytes &&
                strcmp(other->machine_hash.hex, code->machine_hash.hex) == 0)
                code->twin = k;
        }
    }
}

/* Compiles the codes from `first` on, several batches at once: nothing is measured meanwhile. The first batch holds the
   default and is always made; the others stop with the time. */
static actune_status build(at_group *group, int first)
{
    at_session *session = group->session;
    enum { WAVE_MAX = 8 };
    batch wave[WAVE_MAX];
    int batches = session->threads < WAVE_MAX ? session->threads : WAVE_MAX;
    /* Few variants are spread over the processors too. */
    int per_batch = (group->code_count - first + batches - 1) / batches;
    per_batch = per_batch > AT_BATCH ? AT_BATCH : per_batch < 4 ? 4 : per_batch;
    for (int next = first; next < group->code_count;) {
        if (at_session_stopped(session))
            return at_fail(ACTUNE_INTERRUPTED, "interrupted while compiling");
        if (next > 0 && at_session_left_ns(session) <= 0)
            return ACTUNE_OK;
        int made = 0;
        for (; made < batches && next < group->code_count; made++) {
            int count = group->code_count - next < per_batch ? group->code_count - next : per_batch;
            wave[made] = (batch){.group = group, .first = next, .count = count};
            generate(&wave[made]);
            next += count;
        }
        at_pool_run(session->pool, made, compile_piece, wave);
        for (int i = 0; i < made; i++) {
            if (wave[i].status != ACTUNE_OK && wave[i].count > 1)
                compile_one_by_one(&wave[i]);
            else
                load(&wave[i]);
        }
        at_session_progress(session, "compile");
    }
    return ACTUNE_OK;
}

/* --- verifying --- */

static actune_status verify(at_group *group, int first)
{
    at_session *session = group->session;
    if (!group->has_reference) {
        group->has_reference = true;
        AT_TRY(at_reference_init(&group->reference, group->kernel, group->layout, session->options->seed));
    }
    for (int i = first; i < group->code_count; i++) {
        at_code *code = &group->codes[i];
        if (!code->function || code->log || code->twin >= 0)
            continue;
        if (at_session_stopped(session))
            return at_fail(ACTUNE_INTERRUPTED, "interrupted while verifying");
        at_verify_target target = {.function = code->function, .pool = session->pool};
        AT_TRY(at_verify(&group->reference, &target, &code->report));
        code->verified = true;
        if (!code->report.passed)
            note_failure(code, code->report.detail);
        at_session_progress(session, "verify");
    }
    return ACTUNE_OK;
}

actune_status at_group_prepare(at_group *group, const int *variants, int count)
{
    int first_code = group->code_count, first_candidate = group->candidate_count;
    for (int i = 0; i < count; i++)
        AT_TRY(add_candidate(group, variants[i]));
    AT_TRY(build(group, first_code));
    mark_twins(group, first_code);
    AT_TRY(verify(group, first_code));
    return at_record_codes(group, first_candidate);
}

void at_group_clear(at_group *group)
{
    for (int i = 0; i < group->code_count; i++) {
        at_binary_release(group->codes[i].binary);
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
