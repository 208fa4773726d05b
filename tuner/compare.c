#include "compare.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../runtime/generated.h"
#include "autovec.h"
#include "compare_cuda.h"

enum { ANCHORS = 3, ARMS_MAX = ANCHORS + AT_COPIES_MAX + 6 + AT_COMPARE_EXTRAS_MAX };

actune_status at_comparer_open(at_cache *cache, const at_device *device, const char *database, int threads,
                               at_comparer *comparer)
{
    *comparer =
        (at_comparer){.device = device, .cache = cache, .threads = device->processors > 0 ? device->processors : 1};
    if (threads > 0 && threads < comparer->threads)
        comparer->threads = threads;
    AT_TRY(at_dispatch_load(database, device, &comparer->dispatch));
    if (device->cuda_ordinal >= 0) {
        AT_TRY(at_cuda_comparer_open(cache, device, threads, &comparer->cuda));
        comparer->copies = comparer->cuda->session.copies;
        return ACTUNE_OK;
    }
    AT_TRY(at_pool_create(comparer->threads, &comparer->pool));
    return at_copies_open(cache, device, comparer->threads, &comparer->copies);
}

void at_comparer_close(at_comparer *comparer)
{
    if (comparer->cuda)
        at_cuda_comparer_close(comparer->cuda);
    else
        at_copies_close(&comparer->copies);
    at_pool_destroy(comparer->pool);
    at_dispatch_free(comparer->dispatch);
    *comparer = (at_comparer){0};
}

/* While one comparison runs. */
typedef struct contest {
    const at_comparer *with;
    const at_compare_request *request;
    at_layout layout;
    at_bench *bench;
    at_arm arm[ARMS_MAX];
    const char *name[ARMS_MAX];
    int arms;
    at_binary *binary[AT_CANDIDATES_MAX + 2];
    int binaries;
    at_cuda_rivals rivals; /* on a GPU */
    double anchor_ns[AT_SAMPLES_MAX];
} contest;

static actune_status add(contest *of, at_arm arm, const char *name)
{
    AT_TRY(at_arm_open(of->bench, &arm));
    of->arm[of->arms] = arm;
    of->name[of->arms++] = name;
    return ACTUNE_OK;
}

/* --- the kernels --- */

/* A variant as an arm; text NULL: the default. NOT_FOUND when `measured` is given and the source is another one now. */
static actune_status load(contest *of, const char *text, const at_hash *measured, char shown[512], at_arm *arm)
{
    const at_comparer *with = of->with;
    at_target target = {.isa = with->device->isa};
    at_generated generated = {0};
    at_build_info info;
    at_binary *binary = NULL;
    actune_status status = at_generated_get(with->cache, of->request->kernel, of->layout, &target, text, &generated);
    if (status == ACTUNE_OK && measured && strcmp(measured->hex, generated.source_hash.hex) != 0)
        status = at_fail(ACTUNE_NOT_FOUND, "the templates have changed since the winner was measured");
    if (status == ACTUNE_OK)
        status = at_binary_build(with->cache, at_strbuf_text(&generated.source), at_isa_name(with->device->isa), false,
                                 &binary, &info);
    if (status == ACTUNE_OK) {
        at_arena arena = {0};
        at_variant variant;
        of->binary[of->binaries++] = binary;
        *arm = (at_arm){.kind = AT_ARM_KERNEL, .function = at_binary_symbol(binary, generated.symbol), .threads = 1};
        if (at_variant_parse(at_strbuf_text(&generated.variant), &arena, &variant) == ACTUNE_OK) {
            arm->threads = atoi(at_variant_knob(&variant, "threads", "1"));
            arm->wide = at_variant_is_wide(&variant);
        }
        if (arm->threads > with->threads)
            arm->threads = with->threads;
        at_arena_clear(&arena);
        snprintf(shown, 512, "%s", at_strbuf_text(&generated.variant));
        if (!arm->function)
            status = at_fail(ACTUNE_INTERNAL, "%s has no symbol %s; please report it", info.path, generated.symbol);
    }
    at_generated_clear(&generated);
    return status;
}

/* What a plan would run here: the best stored winner that loads, else the default. */
static actune_status add_kernels(contest *of, at_comparison *result)
{
    const at_compare_request *request = of->request;
    at_dispatched candidates[AT_CANDIDATES_MAX];
    at_table_key key = at_table_key_of(&request->kernel->hash, of->layout, request->shape, request->in_place);
    int count = at_dispatch_find(of->with->dispatch, &key, candidates);
    at_arm plain, tuned;
    AT_TRY(load(of, NULL, NULL, result->plain, &plain));
    tuned = plain;
    memcpy(result->tuned, result->plain, sizeof result->tuned);
    result->tier = "default";
    for (int i = 0; i < count; i++)
        if (load(of, candidates[i].variant, &candidates[i].source_hash, result->tuned, &tuned) == ACTUNE_OK) {
            result->tier = candidates[i].tier;
            break;
        }
    AT_TRY(add(of, tuned, "tuned"));
    AT_TRY(add(of, tuned, "null"));
    return add(of, plain, "default");
}

/* Left out where it cannot be built: it is a baseline only. */
static actune_status add_plain_loop(contest *of)
{
    at_strbuf source = {0};
    at_build_info info;
    at_binary *binary = NULL;
    if (of->request->in_place)
        return ACTUNE_OK;
    actune_status status = at_autovec_source(of->request->kernel, of->layout, "actune_plain", &source);
    if (status == ACTUNE_OK)
        status = at_binary_build(of->with->cache, at_strbuf_text(&source), at_isa_name(of->with->device->isa), false,
                                 &binary, &info);
    at_strbuf_clear(&source);
    if (status != ACTUNE_OK)
        return status == ACTUNE_NO_MEMORY ? status : ACTUNE_OK;
    of->binary[of->binaries++] = binary;
    at_arm arm = {.kind = AT_ARM_WHOLE, .function = at_binary_symbol(binary, "actune_plain"), .threads = 1, .wide = true};
    return add(of, arm, "plain loop");
}

static actune_status add_code(contest *of, const at_code *code, const char *name)
{
    return add(of, (at_arm){.kind = AT_ARM_KERNEL, .code = code, .threads = 1}, name);
}

static void show_variant(const contest *of, const at_code *code, char shown[512])
{
    at_strbuf text = {0};
    at_variant_print(at_code_variant(&of->rivals.group, (int)(code - of->rivals.group.codes)), &text);
    snprintf(shown, 512, "%s", at_strbuf_text(&text));
    at_strbuf_clear(&text);
}

/* The same on a GPU. What cuDNN refuses to run here is left out. */
static actune_status add_rivals(contest *of, at_comparison *result)
{
    const at_compare_request *request = of->request;
    at_cuda_rivals *rivals = &of->rivals;
    at_dispatched candidates[AT_CANDIDATES_MAX];
    at_table_key key = at_table_key_of(&request->kernel->hash, of->layout, request->shape, request->in_place);
    int count = at_dispatch_find(of->with->dispatch, &key, candidates);
    rivals->group = (at_group){.session = &of->with->cuda->session, .kernel = request->kernel, .layout = of->layout, .in_place = request->in_place};
    AT_TRY(at_cuda_rivals_init(rivals, candidates, count));
    result->tier = rivals->tier;
    show_variant(of, rivals->tuned, result->tuned);
    show_variant(of, rivals->plain, result->plain);
    AT_TRY(add_code(of, rivals->tuned, "tuned"));
    AT_TRY(add_code(of, rivals->tuned, "null"));
    AT_TRY(add_code(of, rivals->plain, "default"));
    if (rivals->cudnn)
        add_code(of, rivals->cudnn, "cuDNN");
    if (rivals->cudnn_graph)
        add_code(of, rivals->cudnn_graph, "cuDNN graph");
    return ACTUNE_OK;
}

static actune_status add_arms(contest *of, at_comparison *result)
{
    const at_compare_request *request = of->request;
    for (int i = 0; i < ANCHORS; i++)
        AT_TRY(add(of, (at_arm){.kind = AT_ARM_MEMCPY}, "memcpy"));
    if (of->with->cuda)
        AT_TRY(add_rivals(of, result));
    else {
        AT_TRY(add_kernels(of, result));
        AT_TRY(add_plain_loop(of));
    }
    for (int i = 0; i < of->with->copies.count; i++)
        AT_TRY(add(of, of->with->copies.arm[i], "copy"));
    for (int i = 0; i < request->extras && i < AT_COMPARE_EXTRAS_MAX; i++)
        AT_TRY(add(of, request->extra[i], request->extra_name[i]));
    return ACTUNE_OK;
}

/* --- rounds and figures --- */

static actune_status run_rounds(contest *of, int rounds)
{
    at_random random = {(uint64_t)of->request->seed};
    for (int r = 0; r < rounds; r++) {
        double anchor[ANCHORS];
        if (of->request->stop && *of->request->stop)
            return at_fail(ACTUNE_INTERRUPTED, "interrupted while measuring");
        AT_TRY(at_bench_round(of->bench, of->arm, of->arms, &random));
        for (int i = 0; i < of->arms; i++)
            if (of->arm[i].samples <= r)
                return ACTUNE_DEVICE; /* a launch failed: with the call's own message */
        for (int i = 0; i < ANCHORS; i++)
            anchor[i] = of->arm[i].samples_ns[r];
        of->anchor_ns[r] = at_median(anchor, ANCHORS);
    }
    return ACTUNE_OK;
}

static at_compare_line line_of(const contest *of, const double *samples, const char *name, int rounds)
{
    const at_compare_request *request = of->request;
    at_interval time = at_bootstrap_median(samples, rounds, (uint64_t)request->seed);
    at_interval speed = at_paired_log_ratio(of->anchor_ns, samples, rounds, (uint64_t)request->seed);
    double bytes = (double)at_workload_bytes(&request->kernel->signature, request->shape);
    return (at_compare_line){.name = name,
                             .median_ns = time.median,
                             .low_ns = time.low,
                             .high_ns = time.high,
                             .gbps = bytes / time.median,
                             .speed = {exp(speed.median), exp(speed.low), exp(speed.high)}};
}

/* memcpy once, of our copies the fastest, the rest as they are. */
static void fill_lines(const contest *of, int rounds, at_comparison *result)
{
    int best = -1;
    result->line[result->lines++] = line_of(of, of->anchor_ns, "memcpy", rounds);
    for (int i = ANCHORS; i < of->arms; i++) {
        at_compare_line line = line_of(of, of->arm[i].samples_ns, of->name[i], rounds);
        if (strcmp(line.name, "copy") != 0)
            result->line[result->lines++] = line;
        else if (best < 0)
            result->line[best = result->lines++] = line;
        else if (line.median_ns < result->line[best].median_ns)
            result->line[best] = line;
    }
    const at_arm *tuned = &of->arm[ANCHORS];
    at_interval null =
        at_paired_log_ratio(tuned[0].samples_ns, tuned[1].samples_ns, rounds, (uint64_t)of->request->seed);
    result->noise = expm1(fabs(null.median));
}

static actune_status contend(contest *of, at_comparison *result)
{
    const at_compare_request *request = of->request;
    int rounds = request->rounds < 1 ? 1 : request->rounds > AT_SAMPLES_MAX ? AT_SAMPLES_MAX : request->rounds;
    AT_TRY(add_arms(of, result));
    AT_TRY(run_rounds(of, rounds));
    result->rounds = rounds;
    result->cold = at_workload_is_cold(&request->kernel->signature, request->shape, of->with->device);
    result->sets = at_bench_sets(of->bench);
    fill_lines(of, rounds, result);
    return ACTUNE_OK;
}

actune_status at_compare(const at_comparer *comparer, const at_compare_request *request, at_comparison *result)
{
    *result = (at_comparison){0};
    contest *of = calloc(1, sizeof *of);
    if (!of)
        return at_fail(ACTUNE_NO_MEMORY, "no memory for a comparison");
    of->with = comparer;
    of->request = request;
    of->layout = at_layout_of(&request->kernel->signature, request->shape);
    at_bench_request bench = {.signature = &request->kernel->signature,
                              .layout = of->layout,
                              .shape = request->shape,
                              .in_place = request->in_place,
                              .device = comparer->device,
                              .pool = comparer->pool,
                              .machine = comparer->cuda ? comparer->cuda->session.machine : NULL,
                              .seed = request->seed};
    actune_status status = at_bench_open(&bench, &of->bench);
    if (status == ACTUNE_OK)
        status = contend(of, result);
    for (int i = 0; i < of->arms; i++)
        at_arm_close(&of->arm[i]);
    at_bench_close(of->bench);
    for (int i = 0; i < of->binaries; i++)
        at_binary_release(of->binary[i]);
    if (comparer->cuda)
        at_cuda_rivals_clear(&of->rivals);
    free(of);
    return status;
}
