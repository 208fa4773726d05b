#include "bench_batch.h"

#include "db/store.h"
#include "runtime/base/dtype.h"
#include "tuner/compare_batch.h"
#include "workload.h"
#include <stdlib.h>

enum { MEMBERS_MAX = 65536, LOCK_WAIT_S = 60 };

/* A row with a count is as many members. */
static actune_status describe(const bench_batch_options *options, const workload *work, actune_plan_desc **members, int *count)
{
    long long all = 0;
    for (int i = 0; i < work->rows; i++)
        all += work->row[i].kernel && work->row[i].count <= MEMBERS_MAX ? work->row[i].count : work->row[i].kernel ? MEMBERS_MAX + 1 : 0;
    if (all == 0 || all > MEMBERS_MAX)
        return at_fail(ACTUNE_INVALID_ARGUMENT, "%s: a batch has 1 to %d members, not %lld", work->path, MEMBERS_MAX, all);
    *members = calloc((size_t)all, sizeof **members);
    if (!*members)
        return at_fail(ACTUNE_NO_MEMORY, "out of memory");
    for (int i = 0; i < work->rows; i++)
        for (int64_t k = 0; k < work->row[i].count && work->row[i].kernel; k++) {
            const workload_row *row = &work->row[i];
            (*members)[(*count)++] = (actune_plan_desc){.spec = row->spec,
                                                        .direction = row->kernel->signature.direction,
                                                        .dtype_in = row->kernel->signature.dtype_in,
                                                        .dtype_out = row->kernel->signature.dtype_out,
                                                        .shape = row->shape,
                                                        .in_place = options->in_place};
        }
    return ACTUNE_OK;
}

static void report_skipped(const workload *work)
{
    for (int i = 0; i < work->rows; i++)
        if (work->row[i].skipped)
            fprintf(stderr, "actune: %s:%d is left out: %s\n", work->path, work->row[i].line, work->row[i].skipped);
}

/* Nobody measures beside us. */
static actune_status measure(const bench_batch_options *options, actune_context *context, const actune_plan_desc *members, int count,
                             at_batch_comparison *result)
{
    const at_batch_compare_request request = {.context = context,
                                              .device = options->request->device,
                                              .members = members,
                                              .count = count,
                                              .rounds = options->rounds,
                                              .seed = 1,
                                              .stop = options->stop};
    at_device device;
    at_device_lock *lock = NULL;
    AT_TRY(at_device_get(options->request->device, &device));
    AT_TRY(at_device_lock_take(device.id, LOCK_WAIT_S, &lock));
    actune_status status = at_compare_batch(&request, result);
    at_device_lock_release(lock);
    return status;
}

static int print_result(const bench_batch_options *options, const at_batch_comparison *result)
{
    static const char *const headings[] = {"arm", "time", "spread", "GB/s", "x one by one"};
    const actune_batch_info *info = &result->info;
    json_t *arms = json_array();
    cli_table *table = cli_table_new(headings, 5);
    for (int i = 0; i < AT_BATCH_ARMS; i++) {
        const at_batch_arm_line *l = &result->line[i];
        cli_table_row(table, "%s\t%s\t+- %.1f %%\t%.1f\t%.2f", l->name, cli_duration(l->median_ns), 50 * (l->high_ns - l->low_ns) / l->median_ns,
                      l->gbps, l->speed.median);
        json_array_append_new(arms, json_pack("{s:s, s:f, s:f, s:f, s:f, s:f, s:f, s:f}", "name", l->name, "median_ns", l->median_ns, "low_ns",
                                              l->low_ns, "high_ns", l->high_ns, "gbps", l->gbps, "speed_of_one_by_one", l->speed.median, "speed_low",
                                              l->speed.low, "speed_high", l->speed.high));
    }
    json_t *all = json_pack("{s:s, s:i, s:i, s:I, s:I, s:i, s:i, s:s, s:i, s:i, s:f, s:o}", "batch", options->path, "members", info->members, "kernels",
                            info->kernels, "elements", (json_int_t)info->elements, "bytes", (json_int_t)result->bytes, "threads", info->threads,
                            "launches", info->launches, "regime", result->cold ? "cold" : "warm", "rounds", result->rounds, "buffer_sets", result->sets,
                            "noise", result->noise, "arms", arms);
    if (options->request->json)
        return cli_table_free(table), cli_print_json(all);
    json_decref(all);
    printf("%d members, %d kernels, %s elements, %d thread%s, %s\n", info->members, info->kernels, cli_count(info->elements), info->threads,
           info->threads == 1 ? "" : "s", result->cold ? "cold" : "warm");
    cli_table_print(table, stdout);
    printf("noise: the batch twice differed by %.1f %%\n", 100 * result->noise);
    return CLI_OK;
}

static actune_status run(const bench_batch_options *options, const workload *work, at_batch_comparison *result)
{
    const actune_context_options open = {.database = options->request->database, .device = options->request->device, .max_threads = options->threads};
    actune_plan_desc *members = NULL;
    actune_context *context;
    int count = 0;
    AT_TRY(actune_context_open(&open, &context));
    actune_status status = describe(options, work, &members, &count);
    if (!status)
        status = measure(options, context, members, count, result);
    free(members);
    actune_context_close(context);
    return status;
}

int cli_bench_batch(const bench_batch_options *options)
{
    workload work;
    at_batch_comparison result;
    actune_status status = workload_read(options->path, &work);
    if (!status) {
        report_skipped(&work);
        status = run(options, &work, &result);
    }
    workload_clear(&work);
    return status ? cli_report(status) : print_result(options, &result);
}
