#include "race.h"

#include "agree.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

typedef struct lane {
    const gpu_arm *arm;
    at_cu_graph_exec graph; /* NULL: out of the race */
    double ns[GPU_ROUNDS_MAX];
    double difference; /* from the first arm that computes, as a share of what is allowed; NaN: not compared */
    char trouble[512];
} lane;

typedef struct course {
    lane lane[GPU_ARMS_MAX];
    int lanes, nodes, rounds, discarded;
    unsigned long long throttled; /* seen in any round */
    gpu_state state;              /* after the last round */
    gpu_agreement agreement;
} course;

gpu_arm *gpu_race_add(gpu_race *race, const char *name)
{
    if (race->arms == GPU_ARMS_MAX)
        return NULL;
    gpu_arm *arm = &race->arm[race->arms++];
    *arm = (gpu_arm){0};
    snprintf(arm->name, sizeof arm->name, "%s", name);
    return arm;
}

void gpu_race_miss(const gpu_bench *bench, const gpu_race *race, const char *arm, const char *why)
{
    gpu_record(bench);
    if (race->class != NULL)
        gpu_text("class", race->class);
    gpu_text("row", race->row);
    gpu_text("regime", race->regime);
    gpu_integer("elements", race->elements);
    gpu_text("arm", arm);
    gpu_text("status", why);
    gpu_end();
}

void gpu_race_close(gpu_race *race)
{
    for (int i = 0; i < race->arms; i++)
        if (race->arm[i].close != NULL)
            race->arm[i].close(race->arm[i].self);
    race->arms = 0;
}

typedef struct turn {
    const gpu_arm *arm;
    const gpu_sets *sets;
    int nodes;
} turn;

static actune_status put_all(void *user, at_cu_stream stream)
{
    const turn *t = user;
    for (int i = 0; i < t->nodes; i++)
        AT_TRY(t->arm->put(t->arm->self, &t->sets->set[i % t->sets->count], stream));
    return ACTUNE_OK;
}

/* One execution outside of a graph: whatever is loaded at first use is there before the capture, and what it writes is looked at. */
static actune_status try_once(gpu_bench *bench, const gpu_race *race, const gpu_arm *arm, const gpu_sets *sets, course *c, lane *to)
{
    to->difference = NAN;
    if (arm->computes)
        AT_TRY(gpu_agreement_poison(bench, race, sets));
    AT_TRY(arm->put(arm->self, &sets->set[0], bench->timer.stream));
    AT_TRY(at_cuda_wait(bench->device, bench->timer.stream));
    return arm->computes ? gpu_agreement_check(bench, race, sets, &c->agreement, &to->difference) : ACTUNE_OK;
}

/* One launch of the graph before the first round. */
static actune_status start(gpu_bench *bench, const gpu_race *race, const gpu_sets *sets, course *c, lane *to)
{
    turn t = {to->arm, sets, c->nodes};
    bool pushed;
    double ns;
    AT_TRY(at_cuda_enter(bench->device, &pushed));
    actune_status status = try_once(bench, race, to->arm, sets, c, to);
    at_cuda_leave(bench->device, pushed);
    AT_TRY(status);
    AT_TRY(at_cuda_graph_capture(&bench->timer, put_all, &t, &to->graph));
    status = at_cuda_graph_time(&bench->timer, to->graph, &ns);
    if (status != ACTUNE_OK) {
        at_cuda_graph_destroy(&bench->timer, to->graph);
        to->graph = NULL;
    }
    return status;
}

static void start_all(gpu_bench *bench, const gpu_race *race, const gpu_sets *sets, course *c)
{
    *c = (course){.lanes = race->arms, .nodes = gpu_nodes_for(bench, sets)};
    for (int i = 0; i < race->arms; i++) {
        lane *l = &c->lane[i];
        l->arm = &race->arm[i];
        if (start(bench, race, sets, c, l) != ACTUNE_OK)
            snprintf(l->trouble, sizeof l->trouble, "%s", actune_last_error());
    }
}

static void run_round(gpu_bench *bench, course *c, int *order)
{
    at_random_shuffle(&bench->random, order, c->lanes);
    for (int k = 0; k < c->lanes; k++) {
        lane *l = &c->lane[order[k]];
        double ns;
        if (l->graph == NULL)
            continue;
        if (at_cuda_graph_time(&bench->timer, l->graph, &ns) != ACTUNE_OK) {
            snprintf(l->trouble, sizeof l->trouble, "%s", actune_last_error());
            at_cuda_graph_destroy(&bench->timer, l->graph);
            l->graph = NULL;
            continue;
        }
        l->ns[c->rounds] = ns / c->nodes;
    }
}

/* The reasons are read right after the round: a card that slowed down for it still says so. */
static void run_rounds(gpu_bench *bench, course *c)
{
    int order[GPU_ARMS_MAX], rounds = bench->rounds < GPU_ROUNDS_MAX ? bench->rounds : GPU_ROUNDS_MAX;
    for (int i = 0; i < c->lanes; i++)
        order[i] = i;
    while (c->rounds < rounds) {
        run_round(bench, c, order);
        c->state = gpu_clocks_read(&bench->clocks);
        c->throttled |= c->state.throttled;
        if (c->state.throttled != 0 && c->discarded < rounds)
            c->discarded++;
        else
            c->rounds++;
    }
}

/* The first arm that computes; NULL: none does. */
static const lane *find_ours(const gpu_race *race, const course *c)
{
    for (int i = 0; i < race->arms; i++)
        if (race->arm[i].computes)
            return &c->lane[i];
    return NULL;
}

/* Time of this arm over our time, round by round: above 1, ours is faster. */
static void print_against_ours(const gpu_race *race, const course *c, const lane *l)
{
    const lane *ours = find_ours(race, c);
    if (ours == NULL || ours->graph == NULL)
        return;
    at_interval ratio = at_paired_log_ratio(l->ns, ours->ns, c->rounds, 1);
    gpu_number("over_ours", exp(ratio.median));
    gpu_number("over_ours_low", exp(ratio.low));
    gpu_number("over_ours_high", exp(ratio.high));
}

static void print_times(const gpu_race *race, const course *c, const lane *l)
{
    double ns = at_median(l->ns, c->rounds);
    at_interval own = at_bootstrap_median(l->ns, c->rounds, 1);
    gpu_number("ns", ns);
    gpu_number("ns_low", own.low);
    gpu_number("ns_high", own.high);
    gpu_number("gbps", (double)race->arm[l - c->lane].bytes / ns);
    print_against_ours(race, c, l);
    if (c->lane[0].graph == NULL)
        return;
    /* Of the bytes moved in the same time, round by round: above 1 is faster than the anchor. */
    double bytes = (double)l->arm->bytes / (double)c->lane[0].arm->bytes;
    at_interval ratio = at_paired_log_ratio(c->lane[0].ns, l->ns, c->rounds, 1);
    gpu_number("ratio", bytes * exp(ratio.median));
    gpu_number("ratio_low", bytes * exp(ratio.low));
    gpu_number("ratio_high", bytes * exp(ratio.high));
}

static void print_lane(const gpu_bench *bench, const gpu_race *race, const gpu_sets *sets, const course *c, const lane *l)
{
    gpu_record(bench);
    if (race->class != NULL)
        gpu_text("class", race->class);
    gpu_text("row", race->row);
    gpu_text("regime", race->regime);
    gpu_integer("elements", race->elements);
    gpu_text("arm", l->arm->name);
    gpu_text("detail", l->arm->detail);
    gpu_integer("bytes", l->arm->bytes);
    gpu_text("status", l->graph != NULL ? "ok" : l->trouble);
    if (l->graph != NULL)
        print_times(race, c, l);
    if (isfinite(l->difference))
        gpu_number("difference", l->difference);
    gpu_text("anchor", c->lane[0].arm->name);
    gpu_integer("sets", sets->count);
    gpu_integer("nodes", c->nodes);
    gpu_integer("rounds", c->rounds);
    gpu_integer("discarded", c->discarded);
    gpu_text("throttled", gpu_throttle_text(c->throttled));
    gpu_integer("sm_mhz", c->state.sm_mhz);
    gpu_integer("memory_mhz", c->state.memory_mhz);
    gpu_end();
}

actune_status gpu_race_run(gpu_bench *bench, const gpu_race *race, const gpu_sets *sets)
{
    static course c;
    start_all(bench, race, sets, &c);
    run_rounds(bench, &c);
    const lane *ours = find_ours(race, &c);
    actune_status status = ours == NULL || ours->graph != NULL ? ACTUNE_OK : at_fail(ACTUNE_DEVICE, "%s", ours->trouble);
    for (int i = 0; i < c.lanes; i++) {
        print_lane(bench, race, sets, &c, &c.lane[i]);
        at_cuda_graph_destroy(&bench->timer, c.lane[i].graph);
    }
    return status;
}
