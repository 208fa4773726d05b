/* The search: the cheapest table polynomial that stays inside the class. */
#include "fit_job.h"

#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

enum { FLOATS = 6000, MORE_FLOATS = 40000 }; /* an interval */
enum { MAPPINGS = 4, OCTAVES_MAX = 8, DIRECT_DEGREE_MAX = 3 };

/* The measured error as a share of the class: what passes, the rest being for the floats that were not measured; and from where on more are. */
static const double SHARE_OF_CLASS = 0.95, CLOSE = 0.8;

static const char *const class_names[] = {"exact", "standard", "fast"};

/* The wanted values of one interval at Chebyshev nodes, before an origin is chosen. */
typedef struct interval {
    double start, end; /* of a */
    double a[AT_FIT_NODES];
    long double value[AT_FIT_NODES], allowed[AT_FIT_NODES];
} interval;

/* One way to cut |x| into intervals. */
typedef struct mapping {
    int shift;
    float scale, limit;
    interval interval[AT_FIT_ENTRIES_MAX];
} mapping;

static int log2_of(int n)
{
    int k = 0;
    while (n >> (k + 1))
        k++;
    return k;
}

static int intervals_a_side(const at_fit_job *job, int entries)
{
    return job->shape == AT_FIT_SIGNED ? entries / 2 : entries;
}

/* u at the start of interval k: the float whose bits lie k steps of 2^shift above those of 1. */
static double start_of(int shift, int k)
{
    uint32_t bits = 0x3f800000u + ((uint32_t)k << shift);
    float u;
    memcpy(&u, &bits, sizeof u);
    return u;
}

static void sample_interval(const at_fit_job *job, int side, interval *part)
{
    double middle = 0.5 * (part->start + part->end), half = 0.5 * (part->end - part->start);
    for (int j = 0; j < AT_FIT_NODES; j++) {
        double a = middle - half * cos(M_PI * (j + 0.5) / AT_FIT_NODES);
        part->a[j] = a;
        part->value[j] = at_fit_job_target(job, side, a);
        double allowed = at_fit_job_allowed(job, side, a);
        if (job->shape != AT_FIT_SIGNED)
            allowed = fmin(allowed, at_fit_job_allowed(job, !side, a));
        part->allowed[j] = allowed;
    }
}

/* `mantissa` bits tell the intervals of one octave of u apart; the last interval starts where the function has settled. */
static bool make_mapping(const at_fit_job *job, int entries, int mantissa, mapping *out)
{
    int side = intervals_a_side(job, entries), octaves = mantissa < 0 ? 0 : side >> mantissa;
    if (octaves < 1 || octaves > OCTAVES_MAX)
        return false;
    out->shift = 23 - mantissa;
    double last = start_of(out->shift, side - 1), end = start_of(out->shift, side);
    out->scale = (float)((last - 1) / job->settle);
    if (out->scale * job->settle > last - 1)
        out->scale = nextafterf(out->scale, 0);
    out->limit = (float)((0.5 * (last + end) - 1) / out->scale);
    for (int i = 0; i < entries; i++) {
        int k = i % side;
        out->interval[i].start = (start_of(out->shift, k) - 1) / out->scale;
        out->interval[i].end = (start_of(out->shift, k + 1) - 1) / out->scale;
        if (k < side - 1)
            sample_interval(job, i < side, &out->interval[i]);
    }
    return true;
}

static long double offset_in(const at_fit *fit, int i, const interval *part, double a)
{
    if (fit->origin == AT_FIT_DIRECT)
        return a;
    if (fit->origin == AT_FIT_OFFSET)
        return (long double)(a - part->start) * fit->scale;
    return (long double)a - fit->base[i];
}

/* Fits one interval; returns its error as a share of what is allowed. */
static double fit_interval(const at_fit_job *job, const interval *part, int i, at_fit *fit)
{
    at_fit_nodes nodes = {.count = AT_FIT_NODES};
    int side = intervals_a_side(job, fit->entries);
    bool first = i % side == 0;
    if (fit->origin == AT_FIT_BASE)
        fit->base[i] = first ? 0 : (float)(0.5 * (part->start + part->end));
    for (int j = 0; j < nodes.count; j++) {
        long double factor = at_fit_job_factor(job, fit->product, part->a[j]);
        nodes.t[j] = offset_in(fit, i, part, part->a[j]);
        nodes.value[j] = part->value[j] / factor;
        nodes.allowed[j] = part->allowed[j] / factor;
    }
    float coefficient[AT_FIT_DEGREE_MAX + 1];
    bool through_zero = first && job->zero && !fit->product && fit->origin != AT_FIT_OFFSET;
    double share = at_fit_solve(&nodes, fit->degree, through_zero, coefficient);
    if (isfinite(share))
        for (int k = 0; k <= fit->degree; k++)
            fit->coefficient[k][i] = coefficient[k];
    return share;
}

/* Zeros of f keep their sign: a first coefficient of -0 lets a negative slope do that. */
static void measure_with_zeros(const at_fit_job *job, at_fit *fit)
{
    int side = intervals_a_side(job, fit->entries), other = fit->entries - side;
    for (int signs = 0; signs < (other ? 4 : 2); signs++) {
        if (fit->coefficient[0][0] == 0)
            fit->coefficient[0][0] = signs & 1 ? -0.f : 0.f;
        if (other && fit->coefficient[0][side] == 0)
            fit->coefficient[0][side] = signs & 2 ? -0.f : 0.f;
        at_fit_measure(job, fit);
        if (isfinite(fit->max_error_share))
            return;
    }
}

/* The error of the most able candidate of a mapping, before rounding: more than allowed, and no lower degree needs a try. */
static double best_case(const at_fit_job *job, const mapping *map, int entries)
{
    double worst = 0;
    for (int i = 0; i < entries && worst <= 1; i++) {
        const interval *part = &map->interval[i];
        if (i % intervals_a_side(job, entries) == intervals_a_side(job, entries) - 1)
            continue;
        at_fit_nodes nodes = {.count = AT_FIT_NODES};
        for (int j = 0; j < nodes.count; j++) {
            nodes.t[j] = part->a[j] - 0.5L * (part->start + part->end);
            long double factor = at_fit_job_factor(job, job->tail != AT_FIT_TAIL_NONE && job->zero, part->a[j]);
            nodes.value[j] = part->value[j] / factor;
            nodes.allowed[j] = part->allowed[j] / factor;
        }
        long double coefficient[AT_FIT_DEGREE_MAX + 1];
        worst = fmax(worst, at_fit_minimax(&nodes, AT_FIT_DEGREE_MAX, 0, coefficient));
    }
    return worst;
}

/* |x| is clamped where the tail has no float left, u where the table ends. */
static void set_tail(const at_fit_job *job, const mapping *map, at_fit *fit)
{
    const double deepest = 130;
    fit->tail = job->tail;
    fit->rate = (float)job->rate;
    fit->rate_low = (float)(job->rate - fit->rate);
    fit->u_limit = fmaf(map->limit, map->scale, 1);
    fit->limit = (float)(job->tail == AT_FIT_TAIL_EXP ? deepest / job->rate : sqrt(deepest / job->rate));
}

/* One candidate: fits every interval and measures. False when an interval is out of reach. */
static bool try_candidate(const at_fit_job *job, const mapping *map, at_fit *fit, double *reached)
{
    int side = intervals_a_side(job, fit->entries);
    fit->shape = job->shape;
    fit->zero_is_left = job->zero_is_left;
    fit->center = (float)job->center;
    fit->slope_negative = (float)job->slope[0];
    fit->slope_positive = (float)job->slope[1];
    fit->shift = map->shift;
    fit->scale = map->scale;
    fit->limit = map->limit;
    if (job->tail != AT_FIT_TAIL_NONE)
        set_tail(job, map, fit);
    double worst = 0;
    for (int i = 0; i < fit->entries; i++) {
        if (i % side == side - 1)
            fit->coefficient[0][i] = (float)(job->tail == AT_FIT_TAIL_NONE ? job->end[i < side] : job->tail_end[i < side]);
        else
            worst = fmax(worst, fit_interval(job, &map->interval[i], i, fit));
        if (worst > 1.05)
            return false;
    }
    measure_with_zeros(job, fit);
    *reached = fmin(*reached, fit->max_error_share);
    return fit->max_error_share <= SHARE_OF_CLASS;
}

typedef struct way {
    at_fit_origin origin;
    bool product;
} way;

/* A product needs something that fades to 0 at both ends, and pays only where a line is added anyway. */
static bool way_applies(const at_fit_job *job, way tried, int degree)
{
    bool line = job->slope[0] != 0 || job->slope[1] != 0;
    if (job->tail != AT_FIT_TAIL_NONE)
        return tried.origin != AT_FIT_DIRECT && tried.product == job->zero;
    if (tried.product)
        return tried.origin != AT_FIT_BASE && line && job->zero && job->shape != AT_FIT_ODD && job->end[0] == 0 && job->end[1] == 0;
    return tried.origin != AT_FIT_DIRECT || (degree <= DIRECT_DEGREE_MAX && job->tolerance.ulp_y == 0);
}

/* Of the mappings the most exact one that more floats confirm. */
static bool search_mappings(const at_fit_job *job, const mapping *maps, int map_count, at_fit *best, double *reached)
{
    at_fit tried[MAPPINGS];
    for (int m = 0; m < map_count; m++) {
        tried[m] = *best;
        if (!try_candidate(job, &maps[m], &tried[m], reached))
            tried[m].max_error_share = INFINITY;
    }
    for (int rank = 0; rank < map_count; rank++) {
        at_fit *first = &tried[0];
        for (int m = 1; m < map_count; m++)
            if (tried[m].max_error_share < first->max_error_share)
                first = &tried[m];
        if (first->max_error_share > SHARE_OF_CLASS)
            return false;
        at_fit_measure_dense(job, FLOATS, first);
        if (first->max_error_share > CLOSE && first->max_error_share <= SHARE_OF_CLASS)
            at_fit_measure_dense(job, MORE_FLOATS, first);
        *best = *first;
        if (first->max_error_share <= SHARE_OF_CLASS)
            return true;
        first->max_error_share = INFINITY;
    }
    return false;
}

/* Lowest degree first, then the cheapest origin. */
static bool search(const at_fit_job *job, int entries, const mapping *maps, int map_count, at_fit *best, double *reached)
{
    static const way ways[] = {{AT_FIT_DIRECT, true}, {AT_FIT_DIRECT, false}, {AT_FIT_OFFSET, true}, {AT_FIT_OFFSET, false},
                               {AT_FIT_BASE, false}, {AT_FIT_BASE, true}};
    for (int degree = 1; degree <= AT_FIT_DEGREE_MAX; degree++)
        for (size_t w = 0; w < sizeof ways / sizeof *ways; w++) {
            if (!way_applies(job, ways[w], degree))
                continue;
            *best = (at_fit){.origin = ways[w].origin, .product = ways[w].product, .entries = entries, .degree = degree};
            if (search_mappings(job, maps, map_count, best, reached))
                return true;
        }
    return false;
}

/* Of its C text, which has all of it. */
static actune_status hash_fit(at_fit *fit)
{
    at_strbuf text = {0};
    at_fit_emit(fit, "fit", 4, &text);
    fit->hash = at_hash_text(at_strbuf_text(&text));
    actune_status status = at_strbuf_status(&text);
    at_strbuf_clear(&text);
    return status;
}

/* All mappings that have a chance, then the search. *reached: the smallest error seen, as a share of what is allowed. */
static bool search_all(const at_fit_job *job, int entries, mapping *maps, at_fit *fit, double *reached)
{
    static const int below_most[MAPPINGS] = {2, 1, 3, 0}; /* 4, 2, 8 octaves, or all intervals of one size */
    int most = log2_of(intervals_a_side(job, entries)), map_count = 0;
    for (int m = 0; m < MAPPINGS; m++)
        if (make_mapping(job, entries, most - below_most[m], &maps[map_count])) {
            double able = best_case(job, &maps[map_count], entries);
            map_count += able <= 1;
            *reached = fmin(*reached, fmax(able, 1));
        }
    if (map_count > 0)
        *reached = INFINITY;
    return search(job, entries, maps, map_count, fit, reached);
}

static actune_status make(const at_graph *function, int entries, at_accuracy accuracy, bool derivative, at_fit *fit)
{
    at_fit_job job;
    double reached = INFINITY;
    mapping *maps = calloc(MAPPINGS, sizeof *maps);
    if (!maps)
        return at_fail(ACTUNE_NO_MEMORY, "out of memory");
    actune_status status = at_fit_job_init(function, accuracy, derivative, &job);
    if (status == ACTUNE_OK && !search_all(&job, entries, maps, fit, &reached) &&
        !(at_fit_job_take_tail(&job) && search_all(&job, entries, maps, fit, &reached)))
        status = at_fail(ACTUNE_UNSUPPORTED,
                         "no table of %d polynomials up to degree %d meets accuracy=%s (an interval is %.3g times off what is allowed)",
                         entries, AT_FIT_DEGREE_MAX, class_names[accuracy], reached);
    if (status == ACTUNE_OK)
        status = hash_fit(fit);
    at_fit_job_clear(&job);
    free(maps);
    return status;
}

/* Fits made by this process, failures too: newest first, never freed. */
typedef struct made {
    struct made *next;
    at_hash key;
    actune_status status;
    char message[200];
    at_fit fit;
} made;

static pthread_mutex_t made_lock = PTHREAD_MUTEX_INITIALIZER;
static made *made_list;

static actune_status key_of(const at_graph *function, int entries, at_accuracy accuracy, bool derivative, at_hash *key)
{
    at_strbuf text = {0};
    at_strbuf_printf(&text, "%d %d %d\n", entries, (int)accuracy, derivative);
    at_graph_print(function, &text);
    actune_status status = at_strbuf_status(&text);
    *key = at_hash_text(at_strbuf_text(&text));
    at_strbuf_clear(&text);
    return status;
}

static actune_status find_or_make(const at_hash *key, const at_graph *function, int entries, at_accuracy accuracy, bool derivative,
                                  const at_fit **fit)
{
    for (made *old = made_list; old; old = old->next)
        if (!memcmp(old->key.hex, key->hex, sizeof key->hex)) {
            *fit = &old->fit;
            return old->status == ACTUNE_OK ? ACTUNE_OK : at_fail(old->status, "%s", old->message);
        }
    made *new = calloc(1, sizeof *new);
    if (!new)
        return at_fail(ACTUNE_NO_MEMORY, "out of memory");
    new->key = *key;
    new->status = make(function, entries, accuracy, derivative, &new->fit);
    if (new->status == ACTUNE_NO_MEMORY) {
        free(new);
        return ACTUNE_NO_MEMORY;
    }
    if (new->status != ACTUNE_OK)
        strncpy(new->message, actune_last_error(), sizeof new->message - 1);
    new->next = made_list;
    made_list = new;
    *fit = &new->fit;
    return new->status;
}

actune_status at_fit_make(const at_graph *function, int entries, at_accuracy accuracy, bool derivative, const at_fit **fit)
{
    if (entries != 8 && entries != 16 && entries != 32)
        return at_fail(ACTUNE_INVALID_ARGUMENT, "a fit has 8, 16 or 32 entries, not %d", entries);
    if (function->outputs != 1 || function->output[0] < 0)
        return at_fail(ACTUNE_INVALID_ARGUMENT, "a fit needs a function with one output");
    at_hash key;
    AT_TRY(key_of(function, entries, accuracy, derivative, &key));
    pthread_mutex_lock(&made_lock);
    actune_status status = find_or_make(&key, function, entries, accuracy, derivative, fit);
    pthread_mutex_unlock(&made_lock);
    return status;
}
