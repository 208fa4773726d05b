/* The tuner's work on this processor: batches of 16 variants a translation unit, by the C compiler. */
#include "session.h"

#include <stdlib.h>
#include <string.h>

static actune_status equip(at_session *session)
{
    AT_TRY(at_compiler_get(&session->compiler));
    session->toolchain = session->compiler->version;
    session->arch = at_isa_name(session->device->isa);
    return session->copies.count ? ACTUNE_OK : at_copies_open(session->cache, session->device, session->threads, &session->copies);
}

static void release(at_session *session)
{
    at_copies_close(&session->copies);
}

typedef struct batch {
    at_group *group;
    int first, count; /* codes */
    at_strbuf source;
    actune_status status;
    at_binary *binary;
    at_build_info info;
    at_strbuf message;
} batch;

static void generate(batch *of)
{
    at_group *group = of->group;
    at_generate_item items[AT_BATCH];
    for (int i = 0; i < of->count; i++)
        items[i] = (at_generate_item){
            .kernel = group->kernel, .layout = group->layout, .variant = at_code_variant(group, of->first + i)};
    of->status = at_generate_batch(items, of->count, &group->session->target, &of->source);
    for (int i = 0; i < of->count; i++) {
        at_code *code = &group->codes[of->first + i];
        bool ok = of->status == ACTUNE_OK && items[i].status == ACTUNE_OK && items[i].symbol[0];
        code->absent = !ok && items[i].status == ACTUNE_UNSUPPORTED;
        code->source_hash = items[i].source_hash;
        memcpy(code->symbol, items[i].symbol, sizeof code->symbol);
        if (!ok)
            at_code_fail(code, actune_last_error());
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
            at_code_fail(code, at_strbuf_text(&of->message));
            continue;
        }
        code->function = at_binary_symbol(of->binary, code->symbol);
        code->code_bytes = at_binary_code(of->binary, code->symbol, &code->machine_hash);
        code->compile_ms = of->info.compile_ms / of->count;
        code->binary = owned ? NULL : of->binary;
        owned = true;
        if (!code->function)
            at_code_fail(code, "the symbol is missing in the binary");
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
static actune_status build(at_group *group, int first, double until_ns)
{
    (void)until_ns; /* the budget alone ends it: compiling costs little beside measuring */
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
            break;
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
    mark_twins(group, first);
    return ACTUNE_OK;
}

static void verify_target(const at_group *group, const at_code *code, at_verify_target *target)
{
    *target = (at_verify_target){.function = code->function, .pool = group->session->pool};
}

const at_tune_backend at_tune_cpu = {.core_stage = true,
                                     .anchor = "memcpy",
                                     .strategy = "exhaustive",
                                     .equip = equip,
                                     .release = release,
                                     .build = build,
                                     .verify_target = verify_target};
