/* Races: interleaved rounds, from all candidates to a decision. */
#include "session.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../runtime/base/bucket.h"

enum {
    CORE_ELEMENTS = 16384,
    SMALL_ELEMENTS = 2048,
    ARMS_MAX = 768,
    EXTRA_ARMS = 16,
    REFINE_SEEDS = 3
};

/* Shares of a size's time where the search refines: until then the sample is built and verified, raced, the neighbours of its best are built. */
#define SAMPLE_READY 0.35
#define SAMPLE_RACED 0.5
#define REFINED_READY 0.75

/* Indices in the space. */
typedef struct picked_variants {
    int variant[ARMS_MAX], count;
} picked_variants;

/* --- arms --- */

/* A stream of its own for each race and each picking, so that none hangs on how long another took. */
static at_random random_of(const at_group *group, const char *what, const at_store_workload *workload)
{
    char text[160];
    snprintf(text, sizeof text, "%lld %s %s %s %d %d %d %d", (long long)group->session->options->seed, what,
             group->kernel->hash.hex, workload->layout, workload->size_bucket, workload->channel_bucket,
             workload->inner_bucket, workload->in_place);
    return (at_random){at_hash64(text, strlen(text))};
}

static actune_status init_race(at_race *race, const at_group *group, int candidates, const char *stage,
                               const at_store_workload *workload)
{
    size_t room = (size_t)(candidates + EXTRA_ARMS);
    *race = (at_race){.plain = -1,
                      .null_arm = -1,
                      .first_default = -1,
                      .incumbent = -1,
                      .best = -1,
                      .winner = -1,
                      .seed = group->session->options->seed,
                      .random = random_of(group, stage, workload),
                      .stage = stage,
                      .workload = *workload};
    race->arm = calloc(room, sizeof *race->arm);
    race->variant = calloc(room, sizeof *race->variant);
    race->log_ratio = calloc(room, sizeof *race->log_ratio);
    race->behind = calloc(room, sizeof *race->behind);
    race->tied = calloc(room, sizeof *race->tied);
    race->anchor_ns = calloc(AT_SAMPLES_MAX, sizeof *race->anchor_ns);
    if (!race->anchor_ns || !race->arm || !race->variant || !race->log_ratio || !race->behind || !race->tied)
        return at_fail(ACTUNE_NO_MEMORY, "no memory for a race");
    return ACTUNE_OK;
}

static void clear_race(at_race *race)
{
    for (int i = 0; i < race->count; i++)
        at_arm_close(&race->arm[i]);
    free(race->arm);
    free(race->variant);
    free(race->log_ratio);
    free(race->behind);
    free(race->tied);
    free(race->anchor_ns);
}

/* Adds an arm; one that cannot be opened leaves the race as it was. Returns its index, -1. */
static int add_arm(at_race *race, at_bench *bench, at_arm arm, int variant)
{
    if (at_arm_open(bench, &arm) != ACTUNE_OK)
        return -1;
    race->arm[race->count] = arm;
    race->variant[race->count] = variant;
    return race->count++;
}

static int add_candidate_arm(at_race *race, const at_group *group, at_bench *bench, int variant)
{
    const at_candidate *candidate = at_group_candidate(group, variant);
    if (!candidate || !at_candidate_usable(group, candidate))
        return -1;
    at_arm arm = {.kind = AT_ARM_KERNEL,
                  .function = group->codes[candidate->code].function,
                  .code = &group->codes[candidate->code],
                  .threads = candidate->threads,
                  .wide = at_variant_is_wide(&group->space[variant])};
    int index = add_arm(race, bench, arm, variant);
    /* A shape too small for these threads would be the one-threaded arm once more. */
    if (index >= 0 && race->arm[index].launch.threads != candidate->threads) {
        at_arm_close(&race->arm[index]);
        race->count--;
        return -1;
    }
    return index;
}

static int find_arm(const at_race *race, int variant)
{
    for (int i = 0; i < race->count; i++)
        if (race->variant[i] == variant)
            return i;
    return -1;
}

/* The anchor, the tuned copies, the plain loop and the default twice (its ratio to itself is the noise). */
static actune_status add_fixed_arms(at_race *race, const at_group *group, at_bench *bench, bool in_place)
{
    const at_session *session = group->session;
    for (int i = 0; i < AT_ANCHORS; i++)
        add_arm(race, bench, (at_arm){.kind = AT_ARM_MEMCPY}, -1);
    if (race->count < AT_ANCHORS)
        return group->session->machine ? ACTUNE_DEVICE : ACTUNE_NO_MEMORY; /* with the message of the anchor that could not be opened */
    race->copies_from = race->count;
    for (int i = 0; i < session->copies.count; i++)
        if (add_arm(race, bench, session->copies.arm[i], -1) >= 0)
            race->copies++;
    if (group->plain && !in_place)
        /* The compiler may have taken the widest vectors. */
        race->plain = add_arm(race, bench, (at_arm){.kind = AT_ARM_WHOLE, .function = group->plain, .wide = true}, -1);
    race->first_default = add_candidate_arm(race, group, bench, 0);
    if (race->first_default < 0 && session->machine)
        return ACTUNE_DEVICE; /* with the call's own message */
    race->null_arm = add_candidate_arm(race, group, bench, 0);
    if (race->null_arm >= 0)
        race->variant[race->null_arm] = -1;
    return ACTUNE_OK;
}

/* --- rounds --- */

/* Rounds until it is over, those of a killed run included. Always at least three. */
static actune_status run_rounds(at_group *group, at_race *race, at_bench *bench, double until_ns)
{
    at_session *session = group->session;
    /* A sample only has to tell where to look next. */
    bool sample = !session->backend->core_stage && strcmp(race->stage, AT_RACE_CORE) == 0;
    int most = sample ? AT_RACE_ROUNDS_MIN : AT_SAMPLES_MAX;
    while (!at_race_is_over(race, until_ns) && race->rounds < most) {
        if (at_session_stopped(session)) {
            at_race_estimate(race);
            return at_fail(ACTUNE_INTERRUPTED, "interrupted while measuring; what is stored stays");
        }
        AT_TRY(at_bench_round(bench, race->arm, race->count, &race->random));
        if (session->machine && !race->arm[race->first_default].active)
            return ACTUNE_DEVICE; /* with the call's own message; everything is compared with the default */
        race->rounds++;
        AT_TRY(at_resume_save_sometimes(group, race));
        at_session_progress(session, "measure");
    }
    return ACTUNE_OK;
}

/* --- stage 1: the core knobs --- */

static actune_shape core_shape(const at_group *group, int64_t inner)
{
    if (group->layout == AT_LAYOUT_FLAT)
        return (actune_shape){1, 1, CORE_ELEMENTS};
    if (group->layout == AT_LAYOUT_CHANNEL_INNER) {
        int64_t channels = group->tasks[0].shape.channels, rows = channels < CORE_ELEMENTS ? CORE_ELEMENTS / channels : 1;
        bool images = group->tasks[0].shape.channels_last;
        return (actune_shape){images ? 1 : rows, channels, images ? rows : 1, images};
    }
    int64_t planes = inner < CORE_ELEMENTS / 2 ? CORE_ELEMENTS / inner : 2;
    bool is_row = !group->kernel->signature.has_channel; /* of halves: a plane is a row */
    return (actune_shape){is_row ? planes : 1, is_row ? 1 : planes, inner, false};
}

static int64_t elements(actune_shape shape)
{
    return shape.outer * shape.channels * shape.inner;
}

/* all_tasks: not of the open ones alone, but as the run that was killed chose them. Two shapes: one of the usual cache-resident size, and one where the ends of rows, planes or the tensor weigh most. */
static int core_shapes(const at_group *group, bool all_tasks, actune_shape shapes[2])
{
    const at_task *small = &group->tasks[0], *large = &group->tasks[0];
    bool outer = group->layout == AT_LAYOUT_CHANNEL_OUTER;
    for (int i = 0; i < group->task_count; i++) {
        const at_task *task = &group->tasks[i];
        if (task->done && !all_tasks)
            continue;
        bool smaller = outer ? task->shape.inner < small->shape.inner : elements(task->shape) < elements(small->shape);
        bool larger = outer ? task->shape.inner > large->shape.inner : elements(task->shape) > elements(large->shape);
        small = smaller || (small->done && !all_tasks) ? task : small;
        large = larger || (large->done && !all_tasks) ? task : large;
    }
    shapes[0] = core_shape(group, large->shape.inner);
    if (outer && at_size_bucket(small->shape.inner) < at_size_bucket(shapes[0].inner)) {
        shapes[1] = core_shape(group, small->shape.inner);
        return 2;
    }
    if (!outer && elements(small->shape) <= SMALL_ELEMENTS) {
        shapes[1] = small->shape;
        return 2;
    }
    return 1;
}

static void add_seed(at_group *group, int variant)
{
    int most = sizeof group->seeds / sizeof *group->seeds;
    for (int i = 0; i < group->seed_count; i++)
        if (at_same_core(&group->space[group->seeds[i]], &group->space[variant]))
            return;
    if (group->seed_count < most)
        group->seeds[group->seed_count++] = variant;
}

/* Slower than the best by more than this, a vector width stays so whatever the other knobs are. */
#define WIDTH_BEHIND 1.25

static bool is_seeded(const at_group *group, bool wide)
{
    for (int i = 0; i < group->seed_count; i++)
        if (at_variant_is_wide(&group->space[group->seeds[i]]) == wide)
            return true;
    return false;
}

/* Width does not quite fall apart from prefetching: 32-byte code without it is slower than 64-byte code, and faster with it, where the
   cache's bandwidth decides. So both go to the sizes. */
static void take_other_width(at_group *group, const at_race *race, int best, bool wide)
{
    int found = -1;
    if (is_seeded(group, wide))
        return;
    for (int i = 0; i < race->count; i++)
        if (race->variant[i] >= 0 && race->arm[i].samples > 0 &&
            at_variant_is_wide(&group->space[race->variant[i]]) == wide &&
            (found < 0 || race->log_ratio[i].median < race->log_ratio[found].median))
            found = i;
    if (found >= 0 && race->log_ratio[found].median < race->log_ratio[best].median + log(WIDTH_BEHIND))
        add_seed(group, race->variant[found]);
}

/* The fastest few that are tied with the best, and the fastest of the other width. */
static void take_seeds(at_group *group, at_race *race, int most)
{
    int best = race->best = at_race_best_candidate(race);
    for (int taken = 0; taken < most && best >= 0; taken++) {
        int next = at_race_best_candidate(race);
        if (next < 0 || race->log_ratio[next].median > race->log_ratio[best].median + log1p(2 * AT_TIE_MARGIN))
            break;
        add_seed(group, race->variant[next]);
        race->arm[next].active = false;
    }
    if (best < 0)
        return;
    take_other_width(group, race, best, true);
    take_other_width(group, race, best, false);
}

static at_store_workload core_workload(const at_group *group, actune_shape shape)
{
    at_table_key key = at_table_key_of(&group->kernel->hash, group->layout, shape, false);
    return at_store_workload_of(&key, "warm");
}

/* Kept until the group is done: the sizes that are still to come need its winners. One that was interrupted is only kept. */
static actune_status record_core(at_group *group, at_race *race, actune_status measured)
{
    if (race->stored && race->rounds == race->restored)
        return ACTUNE_OK;
    if (measured != ACTUNE_OK)
        return at_resume_save(group, race, false);
    AT_TRY(at_store_begin(group->session->store));
    actune_status status = at_record_race(group, race);
    if (status == ACTUNE_OK)
        status = at_resume_save(group, race, true);
    if (status == ACTUNE_OK)
        return at_store_commit(group->session->store);
    at_store_rollback(group->session->store);
    return status;
}

static actune_status race_core_at(at_group *group, actune_shape shape, const int *picked, int count, int most)
{
    at_session *session = group->session;
    at_bench_request request = {.signature = &group->kernel->signature,
                                .layout = group->layout,
                                .shape = shape,
                                .device = session->device,
                                .pool = session->pool,
                                .seed = session->options->seed};
    at_bench *bench;
    at_race race;
    at_store_workload workload = core_workload(group, shape);
    AT_TRY(at_bench_open(&request, &bench));
    actune_status status = init_race(&race, group, count, AT_RACE_CORE, &workload);
    if (status == ACTUNE_OK)
        status = add_fixed_arms(&race, group, bench, false);
    if (status == ACTUNE_OK) {
        for (int i = 0; i < count; i++)
            if (find_arm(&race, picked[i]) < 0)
                add_candidate_arm(&race, group, bench, picked[i]);
        /* The core is a small part of the time: most of it belongs to the sizes. */
        double until = at_now_ns() + fmax(2e8, 0.05 * at_session_left_ns(session));
        status = at_resume_restore(group, &race);
        if (status == ACTUNE_OK && race.stored)
            at_race_estimate(&race);
        else if (status == ACTUNE_OK)
            status = run_rounds(group, &race, bench, until);
        actune_status stored = record_core(group, &race, status);
        status = status == ACTUNE_OK ? stored : status;
        take_seeds(group, &race, most);
    }
    clear_race(&race);
    at_bench_close(bench);
    return status;
}

actune_status at_race_core(at_group *group)
{
    at_session *session = group->session;
    at_search_stage stage = {.variants = group->space, .count = group->space_count};
    int picked[ARMS_MAX];
    at_random random = random_of(group, "pick", &(at_store_workload){.layout = at_layout_name(group->layout)});
    picked[0] = 0; /* the default stands first: it is compiled whatever the time */
    int count = 1;
    if (session->backend->core_stage)
        count += session->search->pick(&stage, &random, picked + 1, ARMS_MAX - 1);
    AT_TRY(at_group_prepare(group, picked, count, session->deadline_ns));
    const at_candidate *plain = at_group_candidate(group, 0);
    if (!plain || !at_candidate_usable(group, plain)) {
        const char *log = plain ? group->codes[plain->code].log : NULL;
        return at_fail(ACTUNE_VERIFY, "the default variant of '%s' cannot be used: %s", group->kernel->spec,
                       log ? log : "not built");
    }
    if (!session->backend->core_stage)
        return ACTUNE_OK;
    actune_shape shapes[2];
    bool resumed;
    AT_TRY(at_resume_has_core(group, &resumed));
    int anchors = core_shapes(group, resumed, shapes);
    for (int i = 0; i < anchors; i++)
        AT_TRY(race_core_at(group, shapes[i], picked, count, i == 0 ? 3 : 2));
    add_seed(group, 0);
    return ACTUNE_OK;
}

/* --- stage 2: one size --- */

/* The incumbent's code may be the twin of one that is measured: that one stands for it. */
static int incumbent_variant(const at_group *group, const at_task *task)
{
    int variant = task->incumbent ? at_group_find(group, task->incumbent) : -1;
    const at_candidate *candidate = variant >= 0 ? at_group_candidate(group, variant) : NULL;
    if (!candidate || group->codes[candidate->code].twin < 0)
        return candidate ? variant : -1;
    for (int i = 0; i < group->candidate_count; i++)
        if (group->candidates[i].code == group->codes[candidate->code].twin &&
            group->candidates[i].threads == candidate->threads)
            return group->candidates[i].variant;
    return -1;
}

static actune_status finish_task(at_group *group, at_task *task, at_race *race)
{
    at_race_decide(group, race);
    if (race->winner < 0)
        return at_fail(ACTUNE_VERIFY, "no variant of '%s' could be measured", group->kernel->spec);
    at_race_result(group, task, race);
    AT_TRY(at_store_begin(group->session->store));
    actune_status status = at_record_race(group, race);
    if (status == ACTUNE_OK)
        status = at_record_choice(group, task, race, at_race_roof_share(race, race->winner));
    if (status == ACTUNE_OK)
        status = at_resume_forget(group, AT_RACE_SIZE, &task->workload);
    if (status == ACTUNE_OK)
        status = at_store_commit(group->session->store);
    else
        at_store_rollback(group->session->store);
    task->done = status == ACTUNE_OK;
    return status;
}

/* Where launches take long, a candidate far behind in its first ones is not measured any further. */
static void keep_promising(at_race *race, double left_ns)
{
    double round = 0, least = INFINITY;
    for (int i = 0; i < race->count; i++) {
        round += 2 * race->arm[i].first_ns * race->arm[i].repeats;
        if (race->variant[i] >= 0)
            least = fmin(least, race->arm[i].first_ns);
    }
    for (int i = 0; i < race->count && AT_RACE_ROUNDS_MIN * round > left_ns; i++)
        if (race->variant[i] >= 0 && !at_race_is_fixed(race, i) && race->arm[i].first_ns > 1.3 * least)
            race->arm[i].active = false;
}

static actune_status race_candidates(at_group *group, at_task *task, at_bench *bench, const int *picked, int count,
                                     double until)
{
    at_race race;
    actune_status status = init_race(&race, group, count, AT_RACE_SIZE, &task->workload);
    if (status == ACTUNE_OK)
        status = add_fixed_arms(&race, group, bench, task->workload.in_place);
    if (status == ACTUNE_OK) {
        int incumbent = incumbent_variant(group, task);
        if (incumbent > 0)
            add_candidate_arm(&race, group, bench, incumbent);
        for (int i = 0; i < count && at_now_ns() < until; i++)
            if (find_arm(&race, picked[i]) < 0)
                add_candidate_arm(&race, group, bench, picked[i]);
        race.incumbent = incumbent >= 0 ? find_arm(&race, incumbent) : -1;
        status = at_resume_restore(group, &race);
        if (race.restored == 0)
            keep_promising(&race, until - at_now_ns());
        if (status == ACTUNE_OK)
            status = run_rounds(group, &race, bench, until);
        if (race.rounds < 3 && status == ACTUNE_INTERRUPTED)
            at_resume_save(group, &race, false);
        if (race.rounds >= 3 && (status == ACTUNE_OK || status == ACTUNE_INTERRUPTED)) {
            actune_status finished = finish_task(group, task, &race);
            status = status == ACTUNE_OK ? finished : status;
        }
    }
    clear_race(&race);
    return status;
}

/* --- where the search refines: a sample first, which is kept as a first stage of the size --- */

/* The fastest few of ours, and the fastest of another library's. */
static int take_best(const at_group *group, at_race *race, int *best)
{
    int ours = 0, theirs = 0;
    at_race_estimate(race);
    for (int arm; ours < REFINE_SEEDS && (arm = at_race_best_candidate(race)) >= 0;) {
        int variant = race->variant[arm];
        bool own = variant == 0 || variant > group->offered_count;
        race->arm[arm].active = false;
        if (own || theirs == 0)
            best[ours + theirs] = variant;
        ours += own;
        theirs += !own && theirs == 0;
    }
    return ours + theirs;
}

static actune_status race_sample(at_group *group, at_task *task, at_bench *bench, picked_variants *picked, double until)
{
    at_race race;
    actune_status status = init_race(&race, group, picked->count, AT_RACE_CORE, &task->workload);
    if (status == ACTUNE_OK)
        status = add_fixed_arms(&race, group, bench, task->workload.in_place);
    if (status == ACTUNE_OK) {
        for (int i = 0; i < picked->count && at_now_ns() < until; i++)
            if (find_arm(&race, picked->variant[i]) < 0)
                add_candidate_arm(&race, group, bench, picked->variant[i]);
        status = at_resume_restore(group, &race);
        if (race.restored == 0)
            keep_promising(&race, until - at_now_ns());
        if (status == ACTUNE_OK && !race.stored)
            status = run_rounds(group, &race, bench, until);
        actune_status stored = record_core(group, &race, status);
        status = status == ACTUNE_OK ? stored : status;
        picked->count = take_best(group, &race, picked->variant);
    }
    clear_race(&race);
    return status;
}

/* The sample's fastest few take its place, with all that differs from one of them in one knob. */
static actune_status refine(at_group *group, at_task *task, at_bench *bench, picked_variants *picked)
{
    const at_session *session = group->session;
    double now = at_now_ns(), left = task->until_ns - now;
    AT_TRY(race_sample(group, task, bench, picked, now + (SAMPLE_RACED - SAMPLE_READY) / (1 - SAMPLE_READY) * left));
    at_search_stage stage = {
        .variants = group->space, .count = group->space_count, .seeds = picked->variant, .seed_count = picked->count};
    picked->count += session->search->refine(&stage, picked->variant + picked->count, ARMS_MAX - picked->count);
    now = at_now_ns();
    left = task->until_ns - now;
    return at_group_prepare(group, picked->variant, picked->count, now + (REFINED_READY - SAMPLE_RACED) / (1 - SAMPLE_RACED) * left);
}

actune_status at_race_task(at_group *group, at_task *task)
{
    at_session *session = group->session;
    at_search_stage stage = {
        .variants = group->space, .count = group->space_count, .seeds = group->seeds, .seed_count = group->seed_count};
    /* Without a first stage the sizes share their variants, which are compiled once. */
    at_store_workload none = {.layout = task->workload.layout};
    at_random random = random_of(group, "pick", session->backend->core_stage ? &task->workload : &none);
    picked_variants picked = {.count = 0};
    for (; picked.count < group->offered_count; picked.count++)
        picked.variant[picked.count] = 1 + picked.count;
    if (picked.count > 0) /* what needs no compiling comes first, however short the time */
        AT_TRY(at_group_prepare(group, picked.variant, picked.count, task->until_ns));
    picked.count += session->search->pick(&stage, &random, picked.variant + picked.count, ARMS_MAX - 2 - picked.count);
    picked.variant[picked.count++] = 0;
    int incumbent = task->incumbent ? at_group_find(group, task->incumbent) : -1;
    if (incumbent >= 0)
        picked.variant[picked.count++] = incumbent;
    /* The budget ends compiling where that costs next to nothing; else it has a part of the size's time. */
    bool refines = !session->backend->core_stage && session->search->refine;
    double now = at_now_ns(), ready = now + (refines ? SAMPLE_READY : 0.5) * (task->until_ns - now);
    AT_TRY(at_group_prepare(group, picked.variant, picked.count, session->backend->core_stage ? session->deadline_ns : ready));
    at_bench_request request = {.signature = &group->kernel->signature,
                                .layout = group->layout,
                                .shape = task->shape,
                                .in_place = task->workload.in_place,
                                .device = session->device,
                                .pool = session->pool,
                                .machine = session->machine,
                                .seed = session->options->seed};
    at_bench *bench;
    AT_TRY(at_bench_open(&request, &bench));
    actune_status status = refines ? refine(group, task, bench, &picked) : ACTUNE_OK;
    if (status == ACTUNE_OK)
        status = race_candidates(group, task, bench, picked.variant, picked.count, task->until_ns);
    at_bench_close(bench);
    return status;
}
