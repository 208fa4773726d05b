/* Winners -> which variants a target gets, and the rows of its dispatch table: what runtime/plan.c would choose, asked beforehand for every
   shape that anybody tuned. Between those the table's nearest winner counts, there as here. */
#include "job.h"

#include "../runtime/base/dtype.h"

#include <stdlib.h>
#include <string.h>

/* What the database says of one kernel. */
typedef struct tuned {
    at_export_row *choice; /* key and figures; variant: unused */
    at_hash *source;
    int count, room, sources_room;
    bool other_hash;       /* the spec was tuned, as another kernel */
} tuned;

typedef struct selecting {
    at_export_job *job;
    at_export_target *target;
    int function;
    const tuned *tuned;
} selecting;

static const char *const default_tier = "default";

static bool find_layout(const char *name, at_layout *layout)
{
    for (at_layout l = AT_LAYOUT_FLAT; l <= AT_LAYOUT_CHANNEL_OUTER; l++)
        if (strcmp(at_layout_name(l), name) == 0) {
            *layout = l;
            return true;
        }
    return false;
}

static actune_status add_choice(void *user, const at_store_choice *choice)
{
    tuned *t = user;
    const at_store_workload *workload = &choice->workload;
    at_export_row row = {.key = {.size_bucket = workload->size_bucket, .channel_bucket = workload->channel_bucket,
                                 .inner_bucket = workload->inner_bucket, .in_place = workload->in_place},
                         .median_ns = choice->median_ns, .ratio = choice->ratio_to_copy};
    at_hash source = {{0}};
    if (!find_layout(workload->layout, &row.key.layout) || strlen(choice->source_hash) != sizeof source.hex - 1)
        return ACTUNE_OK;
    memcpy(row.key.kernel.hex, choice->kernel, sizeof row.key.kernel.hex - 1);
    memcpy(source.hex, choice->source_hash, sizeof source.hex);
    AT_TRY(at_export_grow(&t->choice, t->count, &t->room, sizeof *t->choice));
    AT_TRY(at_export_grow(&t->source, t->count, &t->sources_room, sizeof *t->source));
    t->choice[t->count] = row;
    t->source[t->count++] = source;
    return ACTUNE_OK;
}

typedef struct spelling {
    const at_export_function *function;
    bool same, other;
} spelling;

static actune_status compare_kernel(void *user, const at_store_kernel *kernel)
{
    spelling *s = user;
    const at_export_function *own = s->function;
    const at_signature *signature = &own->kernel.signature;
    if (strcmp(kernel->direction, "forward") != 0 || strcmp(kernel->dtype_in, at_dtype_get(signature->dtype_in)->name) != 0 ||
        strcmp(kernel->dtype_out, at_dtype_get(signature->dtype_out)->name) != 0)
        return ACTUNE_OK;
    *(strcmp(kernel->hash, own->forward.hex) == 0 ? &s->same : &s->other) = true;
    return ACTUNE_OK;
}

static actune_status read_tuned(at_export_job *job, at_store *store, int function, tuned *t)
{
    const at_export_function *own = job->function[function];
    spelling s = {.function = own};
    *t = (tuned){.count = 0};
    AT_TRY(at_store_each_choice(store, NULL, own->kernel.hash.hex, add_choice, t));
    if (own->user_file && t->count == 0)
        AT_TRY(at_store_each_kernel(store, own->canonical, compare_kernel, &s));
    t->other_hash = s.other && !s.same;
    return ACTUNE_OK;
}

/* Source and hash of a variant; UNSUPPORTED where its math does not reach the accuracy. */
static actune_status generate(const selecting *s, at_export_variant *variant)
{
    at_generate_item item = {.kernel = &s->job->function[s->function]->kernel, .layout = variant->layout, .variant = &variant->variant,
                             .pretty = true};
    at_strbuf source = {0};
    actune_status status = at_generate_batch(&item, 1, &s->target->target, &source);
    if (status == ACTUNE_OK)
        status = item.status;
    if (status == ACTUNE_OK) {
        variant->source_hash = item.source_hash;
        memcpy(variant->symbol, item.symbol, sizeof variant->symbol);
        if (s->target->target.cuda)
            variant->source = at_strbuf_take(&source);
    }
    at_strbuf_clear(&source);
    return status;
}

static actune_status finish_variant(const selecting *s, at_export_variant *variant, bool in_place)
{
    const at_kernel *kernel = &s->job->function[s->function]->kernel;
    at_strbuf text = {0};
    if (s->target->target.cuda && in_place) {
        AT_TRY(at_cuda_variant_in_place(&variant->variant));
        free(variant->source);
        variant->source = NULL;
        AT_TRY(generate(s, variant));
    }
    at_variant_print(&variant->variant, &text);
    variant->text = at_strbuf_status(&text) == ACTUNE_OK ? at_arena_strdup(&s->job->arena, at_strbuf_text(&text)) : NULL;
    at_strbuf_clear(&text);
    if (variant->text == NULL)
        return at_export_no_memory();
    variant->threads = atoi(at_variant_knob(&variant->variant, "threads", "1"));
    return s->target->target.cuda ? at_cuda_geometry_of(kernel, &variant->variant, &variant->geometry) : ACTUNE_OK;
}

static bool is_same(const at_export_variant *a, const at_export_variant *b)
{
    return strcmp(a->source_hash.hex, b->source_hash.hex) == 0 && a->threads == b->threads && a->geometry.block == b->geometry.block &&
           a->geometry.blocks_per_sm == b->geometry.blocks_per_sm && a->geometry.grid_stride == b->geometry.grid_stride;
}

/* Variants that are one program with one launch stand there once, whichever functions they serve. Takes the source. */
static actune_status keep_variant(const selecting *s, at_export_variant *variant, int *number)
{
    at_export_target *target = s->target;
    for (*number = 0; *number < target->variants; ++*number)
        if (is_same(&target->variant[*number], variant)) {
            free(variant->source);
            return ACTUNE_OK;
        }
    actune_status status = at_export_grow(&target->variant, target->variants, &target->variants_room, sizeof *variant);
    if (status != ACTUNE_OK || target->variants == UINT16_MAX) {
        free(variant->source);
        return status != ACTUNE_OK ? status : at_fail(ACTUNE_UNSUPPORTED, "more than %d variants for %s", UINT16_MAX, target->name);
    }
    target->variant[target->variants++] = *variant;
    return ACTUNE_OK;
}

static void measure(const selecting *s, const at_table_key *key, const at_hash *source, at_export_row *row)
{
    for (int i = 0; i < s->tuned->count; i++) {
        const at_table_key *other = &s->tuned->choice[i].key;
        bool same = other->layout == key->layout && other->size_bucket == key->size_bucket && other->channel_bucket == key->channel_bucket &&
                    other->inner_bucket == key->inner_bucket && other->in_place == key->in_place;
        if (same && strcmp(s->tuned->source[i].hex, source->hex) == 0) {
            row->median_ns = s->tuned->choice[i].median_ns;
            row->ratio = s->tuned->choice[i].ratio;
            return;
        }
    }
}

static actune_status add_row(const selecting *s, const at_table_key *key, at_export_variant *variant, const char *tier)
{
    at_export_target *target = s->target;
    at_export_row row = {.key = *key, .function = s->function, .tier = tier};
    measure(s, key, &variant->source_hash, &row);
    variant->function = s->function;
    actune_status status = finish_variant(s, variant, key->in_place);
    if (status != ACTUNE_OK) {
        free(variant->source);
        return status;
    }
    AT_TRY(keep_variant(s, variant, &row.variant));
    AT_TRY(at_export_grow(&target->row, target->rows, &target->rows_room, sizeof row));
    target->row[target->rows++] = row;
    return ACTUNE_OK;
}

static actune_status add_default(const selecting *s, at_layout layout, bool in_place)
{
    const at_kernel *kernel = &s->job->function[s->function]->kernel;
    at_table_key key = {.kernel = kernel->hash, .layout = layout, .size_bucket = 20, .in_place = in_place};
    at_export_variant variant = {.layout = layout};
    if (layout != AT_LAYOUT_FLAT)
        key.channel_bucket = 6;
    if (layout == AT_LAYOUT_CHANNEL_OUTER)
        key.inner_bucket = 10;
    AT_TRY(at_variant_default(kernel, layout, &s->target->target, &variant.variant));
    AT_TRY(generate(s, &variant));
    return add_row(s, &key, &variant, default_tier);
}

/* NOT_FOUND when the candidate is none of ours, or was measured with another source. */
static actune_status try_candidate(const selecting *s, const at_table_key *key, const at_dispatched *candidate)
{
    const char *expected = at_template_for(&s->job->function[s->function]->kernel, key->layout, &s->target->target);
    at_export_variant variant = {.layout = key->layout};
    actune_status status = at_variant_parse(candidate->variant, &s->job->arena, &variant.variant);
    if (status == ACTUNE_NO_MEMORY)
        return status;
    if (status != ACTUNE_OK || strcmp(variant.variant.template_name, expected) != 0)
        return ACTUNE_NOT_FOUND;
    status = generate(s, &variant);
    if (status != ACTUNE_OK)
        return status == ACTUNE_NO_MEMORY ? status : ACTUNE_NOT_FOUND;
    if (strcmp(variant.source_hash.hex, candidate->source_hash.hex) == 0)
        return add_row(s, key, &variant, candidate->tier);
    free(variant.source);
    AT_TRY(at_export_note(s->job, "%s, %s: a winner was measured with other source text (the templates have changed since) and is not used; "
                                  "tune again",
                          s->job->function[s->function]->symbol, s->target->name));
    return ACTUNE_NOT_FOUND;
}

static actune_status add_key(const selecting *s, const at_table_key *key, int *added)
{
    at_dispatched candidates[AT_CANDIDATES_MAX];
    int count = at_dispatch_find(s->target->dispatch, key, candidates);
    for (int i = 0; i < count; i++) {
        actune_status status = try_candidate(s, key, &candidates[i]);
        *added += status == ACTUNE_OK;
        if (status != ACTUNE_NOT_FOUND)
            return status;
    }
    return ACTUNE_OK;
}

/* Every shape of this layout that was tuned on any device is asked for once. */
static bool asked_before(const tuned *t, int index, at_layout layout)
{
    const at_table_key *key = &t->choice[index].key;
    for (int i = 0; i < index; i++) {
        const at_table_key *other = &t->choice[i].key;
        if (other->layout == layout && other->size_bucket == key->size_bucket && other->channel_bucket == key->channel_bucket &&
            other->inner_bucket == key->inner_bucket)
            return true;
    }
    return false;
}

static actune_status select_layout(const selecting *s, at_layout layout, bool in_place)
{
    int added = 0;
    for (int i = 0; i < s->tuned->count; i++) {
        at_table_key key = s->tuned->choice[i].key;
        if (key.layout != layout || asked_before(s->tuned, i, layout))
            continue;
        key.in_place = in_place;
        AT_TRY(add_key(s, &key, &added));
    }
    return added > 0 ? ACTUNE_OK : add_default(s, layout, in_place);
}

static actune_status select_function(const selecting *s)
{
    const at_signature *signature = &s->job->function[s->function]->kernel.signature;
    at_layout last = signature->has_channel ? AT_LAYOUT_CHANNEL_OUTER : AT_LAYOUT_FLAT;
    for (at_layout layout = AT_LAYOUT_FLAT; layout <= last; layout++) {
        AT_TRY(select_layout(s, layout, false));
        if (signature->dtype_in == signature->dtype_out)
            AT_TRY(select_layout(s, layout, true));
    }
    return ACTUNE_OK;
}

static actune_status select_all(at_export_job *job, at_store *store)
{
    for (int f = 0; f < job->functions; f++) {
        tuned t;
        actune_status status = read_tuned(job, store, f, &t);
        if (status == ACTUNE_OK && t.other_hash)
            status = at_export_note(job, "'%s': the file has changed since it was tuned, so its winners are not used; tune again",
                                    job->function[f]->kernel.spec);
        for (int i = 0; i < job->targets && status == ACTUNE_OK; i++) {
            status = select_function(&(selecting){job, &job->target[i], f, &t});
            if (status != ACTUNE_OK)
                status = at_fail_in(status, "%s, %s", job->function[f]->symbol, job->target[i].name);
        }
        free(t.choice);
        free(t.source);
        AT_TRY(status);
    }
    return ACTUNE_OK;
}

actune_status at_export_select(at_export_job *job)
{
    at_store *store = NULL;
    const char *database = job->request->database;
    if (database == NULL || database[0] != '\0')
        AT_TRY(at_store_open(database, AT_STORE_READ, &store));
    actune_status status = select_all(job, store);
    at_store_close(store);
    return status;
}
