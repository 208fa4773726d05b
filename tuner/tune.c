/* The story of a tuning run. */
#include "session.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "autovec.h"

enum { UNITS_CORE = 4, UNITS_TASK = 1, LOCK_WAIT_S = 600 };

#define GROUP_BUDGET_S 25.0

/* --- items to groups and tasks --- */

typedef struct plan {
    at_group *group;
    at_task *task; /* of all groups, each group's together */
    int groups;
    int *task_of; /* item -> task; -1: failed or empty */
} plan;

static int64_t elements(actune_shape shape)
{
    return shape.outer * shape.channels * shape.inner;
}

static at_store_workload workload_of(const at_tune_item *item, at_layout layout, const at_device *device)
{
    at_table_key key = at_table_key_of(&item->kernel->hash, layout, item->shape, item->in_place);
    return at_store_workload_of(&key, at_workload_is_cold(&item->kernel->signature, item->shape, device) ? "cold" : "warm");
}

static bool same_workload(const at_store_workload *a, const at_store_workload *b)
{
    return a->size_bucket == b->size_bucket && a->channel_bucket == b->channel_bucket &&
           a->inner_bucket == b->inner_bucket && a->in_place == b->in_place && strcmp(a->regime, b->regime) == 0;
}

/* On a GPU kernels that work in place are other code. */
static bool same_group(const at_group *group, const at_tune_item *item)
{
    bool on_gpu = group->session->device->cuda_ordinal >= 0;
    return (!on_gpu || group->in_place == item->in_place) && group->layout == at_layout_of(&item->kernel->signature, item->shape) &&
           strcmp(group->kernel->hash.hex, item->kernel->hash.hex) == 0;
}

/* Items whose workloads fall into one size bucket share a task. `items` are walked once a group, so that its tasks lie
 * together. */
static void plan_group(at_session *session, const at_tune_item *items, int count, int first, plan *of, at_task **next)
{
    at_group *group = &of->group[of->groups++];
    *group = (at_group){.session = session,
                        .kernel = items[first].kernel,
                        .layout = at_layout_of(&items[first].kernel->signature, items[first].shape),
                        .in_place = items[first].in_place,
                        .tasks = *next};
    for (int i = first; i < count; i++) {
        if (of->task_of[i] != -2 || !same_group(group, &items[i]))
            continue;
        at_store_workload workload = workload_of(&items[i], group->layout, session->device);
        int task = 0;
        while (task < group->task_count && !same_workload(&group->tasks[task].workload, &workload))
            task++;
        if (task == group->task_count) {
            double megabytes = 1e-6 * (double)at_workload_bytes(&items[i].kernel->signature, items[i].shape);
            group->tasks[group->task_count++] =
                (at_task){.workload = workload, .shape = items[i].shape, .weight = 1 + fmin(20, megabytes / 8)};
            ++*next;
        }
        of->task_of[i] = (int)(&group->tasks[task] - of->task);
    }
}

static actune_status make_plan(at_session *session, const at_tune_item *items, int count, plan *of)
{
    of->group = calloc((size_t)count + 1, sizeof *of->group);
    of->task = calloc((size_t)count + 1, sizeof *of->task);
    of->task_of = calloc((size_t)count + 1, sizeof *of->task_of);
    if (!of->group || !of->task || !of->task_of)
        return at_fail(ACTUNE_NO_MEMORY, "no memory to plan %d items", count);
    at_task *next = of->task;
    for (int i = 0; i < count; i++)
        of->task_of[i] = elements(items[i].shape) > 0 ? -2 : -1;
    for (int i = 0; i < count; i++)
        if (of->task_of[i] == -2)
            plan_group(session, items, count, i, of, &next);
    for (int g = 0; g < of->groups; g++)
        session->total += UNITS_CORE + UNITS_TASK * of->group[g].task_count;
    return ACTUNE_OK;
}

static void clear_plan(plan *of)
{
    for (int g = 0; g < of->groups; g++)
        for (int t = 0; t < of->group[g].task_count; t++)
            free(of->group[g].tasks[t].incumbent);
    free(of->group);
    free(of->task);
    free(of->task_of);
}

/* --- one group --- */

static bool all_done(const at_group *group)
{
    for (int t = 0; t < group->task_count; t++)
        if (!group->tasks[t].done)
            return false;
    return true;
}

static actune_status reuse_known(at_group *group)
{
    for (int t = 0; t < group->task_count; t++) {
        free(group->tasks[t].incumbent);
        group->tasks[t].incumbent = NULL;
        AT_TRY(at_record_find(group, &group->tasks[t]));
    }
    return ACTUNE_OK;
}

/* The baseline is for the tables only: without it the group is tuned all the same. */
static void build_plain(at_group *group)
{
    at_strbuf source = {0};
    at_build_info info;
    const char *symbol = "actune_plain";
    if (group->session->machine)
        return;
    if (at_autovec_source(group->kernel, group->layout, symbol, &source) == ACTUNE_OK &&
        at_binary_build(group->session->cache, at_strbuf_text(&source), at_isa_name(group->session->device->isa), false,
                        &group->plain_binary, &info) == ACTUNE_OK) {
        group->plain = at_binary_symbol(group->plain_binary, symbol);
        group->plain_hash = at_hash_text(at_strbuf_text(&source));
    }
    at_strbuf_clear(&source);
}

/* Other processes measure between our groups, never beside them. */
static actune_status wait_for_device(at_session *session, at_device_lock **lock)
{
    double wait_s = session->options->lock_wait_s > 0 ? session->options->lock_wait_s : LOCK_WAIT_S;
    double until = at_now_ns() + 1e9 * wait_s;
    actune_status status;
    while ((status = at_device_lock_take(session->device->id, 0.5, lock)) == ACTUNE_BUSY && at_now_ns() < until) {
        if (at_session_stopped(session))
            return at_fail(ACTUNE_INTERRUPTED, "interrupted while another process was measuring");
        session->deadline_ns += 5e8; /* waiting is not measuring */
        at_session_progress(session, "wait");
    }
    return status;
}

/* Shares what is left of the time among the tasks that are still open, here and in the groups to come, less what those
   need before their first size: as much as the groups so far took on average. */
static double task_deadline(const at_session *session, const plan *of, const at_group *own, const at_task *task)
{
    double open = 0;
    int started = 0, to_come = 0;
    for (int g = 0; g < of->groups; g++) {
        const at_group *group = &of->group[g];
        started += group->space_count > 0;
        to_come += group > own && !all_done(group);
        for (int t = 0; t < group->task_count; t++)
            open += group->tasks[t].done || group->tasks[t].tried ? 0 : group->tasks[t].weight;
    }
    double left = at_session_left_ns(session) - to_come * session->core_ns / (started > 0 ? started : 1);
    return at_now_ns() + fmax(0, left) * task->weight / fmax(open, task->weight);
}

static actune_status race_sizes(at_group *group, const plan *of)
{
    at_session *session = group->session;
    for (int t = 0; t < group->task_count; t++) {
        at_task *task = &group->tasks[t];
        /* Without a first stage, starting up must not eat a small budget whole: one size is always measured. */
        bool first = t == 0 && !session->backend->core_stage;
        if (!task->done && (first || at_session_left_ns(session) > 0)) {
            task->until_ns = task_deadline(session, of, group, task);
            actune_status status = at_race_task(group, task);
            task->tried = true;
            task->result.status = status;
            if (status != ACTUNE_OK)
                strncpy(task->result.message, actune_last_error(), sizeof task->result.message - 1);
            if (status == ACTUNE_INTERRUPTED || status == ACTUNE_DATABASE)
                return status;
        }
        session->done += UNITS_TASK;
        at_session_progress(session, "measure");
    }
    return ACTUNE_OK;
}

static actune_status measure_group(at_group *group, const plan *of)
{
    AT_TRY(reuse_known(group)); /* the process that held the lock may have tuned the same */
    if (all_done(group))
        return ACTUNE_OK;
    double start = at_now_ns();
    AT_TRY(at_session_equip(group->session));
    AT_TRY(at_group_enumerate(group));
    build_plain(group);
    AT_TRY(at_race_core(group));
    group->session->done += UNITS_CORE;
    group->session->core_ns += at_now_ns() - start;
    AT_TRY(race_sizes(group, of));
    return all_done(group) ? at_resume_forget(group, AT_RACE_CORE, NULL) : ACTUNE_OK;
}

static actune_status tune_group(at_group *group, const plan *of)
{
    at_session *session = group->session;
    int done = session->done;
    session->spec = group->kernel->spec;
    actune_status status = reuse_known(group);
    if (status == ACTUNE_OK && !all_done(group)) {
        at_device_lock *lock = NULL;
        status = wait_for_device(session, &lock);
        if (status == ACTUNE_OK)
            status = measure_group(group, of);
        at_device_lock_release(lock);
    }
    session->done = done + UNITS_CORE + UNITS_TASK * group->task_count;
    for (int t = 0; t < group->task_count; t++) {
        at_task *task = &group->tasks[t];
        if (task->done || task->result.status != ACTUNE_OK)
            continue;
        task->tried = true;
        task->result.status = status != ACTUNE_OK ? status : ACTUNE_INTERRUPTED;
        const char *why = status != ACTUNE_OK ? actune_last_error() : "the time was over before this size was measured";
        strncpy(task->result.message, why, sizeof task->result.message - 1);
    }
    return status;
}

/* --- results --- */

/* Built, or found to be wrong; not one that nobody had time for. */
static bool is_tried(const at_code *code)
{
    return !code->absent && (at_code_is_built(code) || code->log);
}

static void count_codes(const at_group *group, at_tune_result *result)
{
    result->candidates = 0;
    for (int i = 0; i < group->candidate_count; i++)
        result->candidates += is_tried(&group->codes[group->candidates[i].code]);
    for (int i = 0; i < group->code_count; i++) {
        const at_code *code = &group->codes[i];
        result->failed += code->log && !code->absent;
        result->identical += code->twin >= 0;
    }
}

static void fill_results(const plan *of, int count, at_tune_result *results)
{
    for (int i = 0; i < count; i++) {
        if (of->task_of[i] >= 0) {
            const at_task *task = &of->task[of->task_of[i]];
            results[i] = task->result;
            results[i].workload = task->workload;
            if (!task->done && task->result.status == ACTUNE_OK) {
                results[i].status = ACTUNE_INTERRUPTED;
                strncpy(results[i].message, "the run ended before this size was measured",
                        sizeof results[i].message - 1);
            }
        } else {
            results[i] = (at_tune_result){.status = ACTUNE_INVALID_ARGUMENT};
            strncpy(results[i].message, "an empty shape has nothing to measure", sizeof results[i].message - 1);
        }
    }
}

/* Failures of one kernel are its items' own; what ends the whole run is returned. */
static bool ends_run(actune_status status)
{
    return status == ACTUNE_INTERRUPTED || status == ACTUNE_DATABASE || status == ACTUNE_NO_MEMORY ||
           status == ACTUNE_BUSY;
}

actune_status at_tune(at_store *store, at_cache *cache, const at_device *device, const at_tune_item *items, int count,
                      const at_tune_options *options, at_tune_result *results)
{
    at_session session;
    plan of = {0};
    actune_status status = at_session_open(&session, store, cache, device, options);
    if (status == ACTUNE_OK)
        status = make_plan(&session, items, count, &of);
    double budget = options->budget_s > 0 ? options->budget_s : GROUP_BUDGET_S * of.groups;
    session.deadline_ns = session.started_ns + 1e9 * budget;
    for (int g = 0; g < of.groups && !ends_run(status); g++) {
        status = tune_group(&of.group[g], &of);
        for (int t = 0; t < of.group[g].task_count; t++)
            count_codes(&of.group[g], &of.group[g].tasks[t].result);
        at_group_clear(&of.group[g]);
    }
    if (of.task_of)
        fill_results(&of, count, results);
    clear_plan(&of);
    at_session_close(&session);
    return ends_run(status) || of.groups == 0 ? status : ACTUNE_OK;
}
