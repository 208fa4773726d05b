/* Batches on the CPU: the bits of the members' own plans whatever the threads, rows and offsets, in place; what is refused. */
#include "runtime/base/dtype.h"

#include <actune/actune.h>
#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { MEMBERS_MAX = 320, PORTS_MAX = 8, GUARD = 64 };

static char cache_folder[128];

static void set_up(void)
{
    snprintf(cache_folder, sizeof cache_folder, "/tmp/actune-test-batch-%ld", (long)getpid());
    cr_assert_eq(mkdir(cache_folder, 0700), 0);
}

static void tear_down(void)
{
    char command[256];
    snprintf(command, sizeof command, "rm -rf '%s'", cache_folder);
    cr_assert_eq(system(command), 0);
}

TestSuite(batch, .init = set_up, .fini = tear_down);

static actune_context *open_context(int threads)
{
    actune_context_options options = {.database = "", .cache_folder = cache_folder, .max_threads = threads};
    actune_context *context;
    cr_assert_eq(actune_context_open(&options, &context), ACTUNE_OK, "%s", actune_last_error());
    return context;
}

static bool mentions(const char *words)
{
    return strstr(actune_last_error(), words) != NULL;
}

static actune_batch *make_batch(actune_context *context, const actune_plan_desc *desc, int count)
{
    actune_batch *batch;
    cr_assert_eq(actune_batch_create(context, desc, count, &batch), ACTUNE_OK, "%s", actune_last_error());
    return batch;
}

/* Kinds of members: directions, types, layouts, in place, empty, shared descriptions. */
static const actune_plan_desc kinds[] = {
    {.spec = "relu", .shape = {1, 1, 70001}},
    {.spec = "gelu_tanh | clip(-1, 1)", .shape = {9, 1, 1117}},
    {.spec = "swish(beta=learn)", .dtype_in = ACTUNE_BF16, .dtype_out = ACTUNE_BF16, .shape = {3, 1, 11111}},
    {.spec = "bias | silu", .dtype_in = ACTUNE_F16, .dtype_out = ACTUNE_F16, .shape = {371, 24, 1}, .in_place = true},
    {.spec = "relu", .shape = {1, 1, 0}},
    {.spec = "bias | silu", .direction = ACTUNE_BACKWARD, .shape = {137, 21, 1}},
    {.spec = "scale_shift | add | relu", .shape = {2, 15, 490}},
    {.spec = "relu", .shape = {1, 1, 70001}},
    {.spec = "gelu", .direction = ACTUNE_BACKWARD, .dtype_in = ACTUNE_F64, .dtype_out = ACTUNE_F64, .shape = {1, 1, 777}, .in_place = true},
    {.spec = "gelu | dropout(0.25)", .shape = {4, 8, 165}},
    {.spec = "tanh", .dtype_in = ACTUNE_BF16, .shape = {1, 1, 1}},
};
enum { KINDS = sizeof kinds / sizeof *kinds };

/* The buffers of one member: ours to begin with, then what a plan of its own and what the batch makes of them. */
typedef struct job {
    const actune_plan_desc *desc;
    actune_plan *plan;
    int ports;
    actune_buffer alone[PORTS_MAX], batched[PORTS_MAX];
    char *memory[2][PORTS_MAX];
    size_t bytes[PORTS_MAX];
} job;

static double input_of(int port, int64_t i)
{
    static const double special[] = {NAN, INFINITY, -INFINITY, -0.0, 0.0};
    return i % 101 < 5 && port == 0 ? special[i % 101] : (double)((i * 37 + port * 11) % 61 - 30) / 10 + 0.03;
}

static void fill(const job *j, const actune_buffer *buffers)
{
    static const uint64_t key[2] = {7, 9};
    for (int p = 0; p < j->ports; p++) {
        actune_port_info info;
        actune_plan_port(j->plan, p, &info);
        if (info.is_output) {
            if (!j->desc->in_place)
                memset(buffers[p].data, 0xff, j->bytes[p]);
        } else if (info.is_random)
            memcpy(buffers[p].data, key, sizeof key);
        else
            for (int64_t i = 0; i < info.count; i++)
                at_dtype_store(info.dtype, buffers[p].data, i, input_of(p, i));
    }
}

/* `off` elements off a cache line; guards on both sides. */
static void job_open(job *j, actune_context *context, const actune_plan_desc *desc, int off)
{
    *j = (job){.desc = desc};
    cr_assert_eq(actune_plan_create(context, desc, &j->plan), ACTUNE_OK, "%s", actune_last_error());
    j->ports = actune_plan_port_count(j->plan);
    for (int p = 0; p < j->ports; p++) {
        actune_port_info info;
        actune_plan_port(j->plan, p, &info);
        size_t size = (size_t)at_dtype_get(info.dtype)->bytes;
        j->bytes[p] = (size_t)info.count * size;
        for (int b = 0; b < 2; b++) {
            actune_buffer *buffer = b ? &j->batched[p] : &j->alone[p];
            *buffer = (actune_buffer){NULL, info.count, info.dtype};
            if (info.is_output && desc->in_place) {
                buffer->data = (b ? j->batched : j->alone)[desc->direction == ACTUNE_BACKWARD].data;
                continue;
            }
            j->memory[b][p] = aligned_alloc(64, (j->bytes[p] + 3 * GUARD + (size_t)off * size + 63) / 64 * 64);
            memset(j->memory[b][p], 0xa5, j->bytes[p] + 2 * GUARD + (size_t)off * size);
            buffer->data = j->memory[b][p] + GUARD + (size_t)off * size;
        }
    }
}

static void check_guards(const job *j, int m)
{
    for (int p = 0; p < j->ports; p++)
        for (int i = 0; i < GUARD && j->memory[1][p]; i++)
            cr_assert((unsigned char)((char *)j->batched[p].data)[-1 - i] == 0xa5 && (unsigned char)((char *)j->batched[p].data)[j->bytes[p] + (size_t)i] == 0xa5,
                      "member %d, port %d wrote outside", m, p);
}

static void job_close(job *j)
{
    for (int p = 0; p < j->ports; p++)
        free(j->memory[0][p]), free(j->memory[1][p]);
    actune_plan_destroy(j->plan);
}

static void compare_with_plans(int threads, int off)
{
    static job jobs[KINDS];
    static actune_buffer buffers[KINDS * PORTS_MAX];
    actune_context *context = open_context(threads);
    actune_batch *batch = make_batch(context, kinds, KINDS);
    actune_batch_info info;
    actune_batch_describe(batch, &info);
    int count = 0;
    for (int m = 0; m < KINDS; m++) {
        job *j = &jobs[m];
        job_open(j, context, &kinds[m], off);
        fill(j, j->alone);
        fill(j, j->batched);
        cr_assert_eq(actune_execute(j->plan, j->alone, j->ports), ACTUNE_OK, "%s", actune_last_error());
        for (int p = 0; p < j->ports; p++) {
            actune_port_info port;
            int member;
            cr_assert_eq(actune_batch_port(batch, count, &member, &port), ACTUNE_OK);
            cr_assert(member == m && port.count == j->alone[p].count && port.dtype == j->alone[p].dtype);
            buffers[count++] = j->batched[p];
        }
    }
    cr_assert(info.members == KINDS && info.buffers == count && info.kernels == 9 && info.launches == 0 && info.threads <= threads);
    cr_assert_eq(actune_batch_execute(batch, buffers, count, NULL), ACTUNE_OK, "%s", actune_last_error());
    for (int m = 0; m < KINDS; m++) {
        const int y = jobs[m].ports - 1;
        cr_assert(jobs[m].bytes[y] == 0 || !memcmp(jobs[m].alone[y].data, jobs[m].batched[y].data, jobs[m].bytes[y]), "member %d (%s), %d threads", m,
                  kinds[m].spec, threads);
        check_guards(&jobs[m], m);
        job_close(&jobs[m]);
    }
    actune_batch_destroy(batch);
    actune_context_close(context);
}

Test(batch, has_the_bits_of_its_members_plans)
{
    compare_with_plans(1, 0);
    compare_with_plans(2, 0);
    compare_with_plans(2, 1);
}

Test(batch, is_interpreted_where_nothing_compiles)
{
    setenv("ACTUNE_INTERPRET", "1", 1);
    actune_plan_info info;
    actune_context *context = open_context(2);
    actune_batch *batch = make_batch(context, kinds, KINDS);
    cr_assert(actune_batch_member(batch, 1, &info) == ACTUNE_OK && !strcmp(info.tier, "interpreter") && !strcmp(info.spec, kinds[1].spec));
    cr_assert(actune_batch_member(batch, KINDS, &info) == ACTUNE_INVALID_ARGUMENT && mentions("member 11"));
    actune_batch_destroy(batch);
    actune_context_close(context);
    compare_with_plans(2, 1);
}

/* relu and clip by turns, each member with a place of its own in one array: exact values. */
typedef struct field {
    actune_plan_desc desc[MEMBERS_MAX];
    actune_buffer buffer[2 * MEMBERS_MAX];
    int64_t rows[MEMBERS_MAX];
    float *x, *y;
    int members;
    int64_t outer, inner;
} field;

static void field_open(field *f, int members, int64_t outer, int64_t inner, bool backwards)
{
    *f = (field){.members = members, .outer = outer, .inner = inner};
    int64_t each = outer * inner;
    f->x = malloc((size_t)(each * members + 1) * sizeof *f->x);
    f->y = malloc((size_t)(each * members + 1) * sizeof *f->y);
    for (int64_t i = 0; i < each * members; i++)
        f->x[i] = (float)(i * 37 % 61 - 30) / 10;
    for (int m = 0; m < members; m++) {
        f->desc[m] = (actune_plan_desc){.spec = m % 2 ? "relu" : "clip(-1, 1)", .shape = {outer, 1, inner}};
        f->buffer[2 * m] = (actune_buffer){f->x + m * each, each, ACTUNE_F32};
        f->buffer[2 * m + 1] = (actune_buffer){f->y + (backwards ? members - 1 - m : m) * each, each, ACTUNE_F32};
    }
}

static float wanted(int member, float x)
{
    return member % 2 ? (x > 0 ? x : 0) : x < -1 ? -1 : x > 1 ? 1 : x;
}

static void field_run(field *f, const actune_batch *batch, const int64_t *rows)
{
    const int64_t each = f->outer * f->inner;
    for (int64_t i = 0; i < each * f->members; i++)
        f->y[i] = -77;
    cr_assert_eq(actune_batch_execute(batch, f->buffer, 2 * f->members, &(actune_batch_options){.rows = rows}), ACTUNE_OK, "%s", actune_last_error());
    for (int m = 0; m < f->members; m++) {
        const float *x = f->buffer[2 * m].data, *y = f->buffer[2 * m + 1].data;
        for (int64_t i = 0; i < each; i++) {
            float right = rows && i >= rows[m] * f->inner ? -77 : wanted(m, x[i]);
            cr_assert(y[i] == right, "member %d, element %lld: %g, not %g", m, (long long)i, y[i], right);
        }
    }
}

static void field_close(field *f)
{
    free(f->x);
    free(f->y);
}

Test(batch, of_300_members_and_of_one)
{
    static field f;
    static const struct {
        int members;
        int64_t outer, inner;
    } sizes[] = {{300, 7, 133}, {300, 1, 1}, {1, 1, 100003}, {1, 3, 5}, {300, 0, 9}, {2, 1, 1 << 20}};
    for (int threads = 1; threads <= 2; threads++)
        for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++) {
            actune_context *context = open_context(threads);
            field_open(&f, sizes[s].members, sizes[s].outer, sizes[s].inner, s % 2);
            actune_batch *batch = make_batch(context, f.desc, f.members);
            field_run(&f, batch, NULL);
            for (int m = 0; m < f.members; m++)
                f.rows[m] = (m * 5) % (f.outer + 1);
            field_run(&f, batch, f.rows);
            actune_batch_destroy(batch);
            actune_context_close(context);
            field_close(&f);
        }
}

/* Experts whose tokens lie in one tensor, in place and not. */
Test(batch, offsets_are_each_members_own_rows)
{
    enum { TOKENS = 601, FEATURES = 33, EXPERTS = 3, COUNT = TOKENS * FEATURES };
    static const int64_t offsets[][EXPERTS + 1] = {{0, 100, 101, 601}, {0, 0, 601, 601}, {5, 200, 200, 400}, {7, 7, 7, 7}};
    static float x[COUNT], y[COUNT], bias[EXPERTS][FEATURES];
    actune_context *context = open_context(2);
    for (int in_place = 0; in_place < 2; in_place++) {
        actune_plan_desc desc[EXPERTS];
        actune_buffer buffers[3 * EXPERTS];
        for (int m = 0; m < EXPERTS; m++) {
            desc[m] = (actune_plan_desc){.spec = m == 1 ? "bias | clip(-1, 1)" : "bias | relu", .shape = {TOKENS, FEATURES, 1}, .in_place = in_place};
            buffers[3 * m] = (actune_buffer){x, COUNT, ACTUNE_F32};
            buffers[3 * m + 1] = (actune_buffer){bias[m], FEATURES, ACTUNE_F32};
            buffers[3 * m + 2] = (actune_buffer){in_place ? x : y, COUNT, ACTUNE_F32};
            for (int c = 0; c < FEATURES; c++)
                bias[m][c] = (float)(m * FEATURES + c) / 64;
        }
        actune_batch *batch = make_batch(context, desc, EXPERTS);
        for (size_t r = 0; r < sizeof offsets / sizeof *offsets; r++) {
            for (int i = 0; i < COUNT; i++)
                x[i] = (float)(i * 37 % 61 - 30) / 10, y[i] = -77;
            cr_assert_eq(actune_batch_execute(batch, buffers, 3 * EXPERTS, &(actune_batch_options){.offsets = offsets[r]}), ACTUNE_OK, "%s",
                         actune_last_error());
            for (int i = 0; i < COUNT; i++) {
                float before = (float)(i * 37 % 61 - 30) / 10, right = in_place ? before : -77;
                for (int m = 0; m < EXPERTS; m++)
                    if (i / FEATURES >= offsets[r][m] && i / FEATURES < offsets[r][m + 1])
                        right = wanted(m == 1 ? 0 : 1, before + bias[m][i % FEATURES]);
                cr_assert((in_place ? x : y)[i] == right, "round %zu, element %d", r, i);
            }
        }
        actune_batch_destroy(batch);
    }
    actune_context_close(context);
}

/* Buffers need hold no more rows than are there; the others may be NULL. */
Test(batch, rows_that_are_not_there_need_no_memory)
{
    float x[8] = {-2, -1, 0, 1, 2, 3, 4, 5}, y[8];
    actune_context *context = open_context(1);
    actune_plan_desc desc[2] = {{.spec = "relu", .shape = {1000, 1, 4}}, {.spec = "clip(-1, 1)", .shape = {1000, 1, 4}}};
    actune_batch *batch = make_batch(context, desc, 2);
    actune_buffer buffers[4] = {{x, 8, ACTUNE_F32}, {y, 8, ACTUNE_F32}, {NULL, 0, ACTUNE_F32}, {NULL, 0, ACTUNE_F32}};
    int64_t rows[2] = {2, 0};
    cr_assert_eq(actune_batch_execute(batch, buffers, 4, &(actune_batch_options){.rows = rows}), ACTUNE_OK, "%s", actune_last_error());
    cr_assert(y[0] == 0 && y[7] == 5);
    rows[0] = 3;
    cr_assert(actune_batch_execute(batch, buffers, 4, &(actune_batch_options){.rows = rows}) == ACTUNE_INVALID_ARGUMENT &&
              mentions("buffer 0 (x of member 0) has 8 elements, the plan wants 12"));
    actune_batch_destroy(batch);
    actune_context_close(context);
}

Test(batch, batches_that_make_no_sense)
{
    static const char *const gradients[] = {"bias", NULL};
    static const struct {
        actune_plan_desc desc;
        actune_status status;
        const char *says;
    } cases[] = {
        {{.spec = NULL}, ACTUNE_INVALID_ARGUMENT, "member 1: actune_plan_create: the spec is NULL"},
        {{.spec = "relu | nonsuch", .shape = {1, 1, 4}}, ACTUNE_SYNTAX, "member 1: "},
        {{.spec = "relu", .shape = {1, 1, -4}}, ACTUNE_INVALID_ARGUMENT, "member 1: "},
        {{.spec = "relu", .shape = {1, 1, 4}, .dtype_in = 99}, ACTUNE_INVALID_ARGUMENT, "member 1: dtype_in 99"},
        {{.spec = "bias", .shape = {4, 4, 1}, .direction = ACTUNE_BACKWARD, .gradients = gradients, .gradient_count = 1},
         ACTUNE_UNSUPPORTED,
         "member 1 (bias) has sums or other reductions"},
        {{.spec = "bias", .shape = {4, 4, 1}, .direction = ACTUNE_BACKWARD, .gradients = gradients, .gradient_count = 2},
         ACTUNE_INVALID_ARGUMENT,
         "member 1: the name of gradient 1 is NULL"},
        {{.spec = "bias", .shape = {4, 4, 1}, .direction = ACTUNE_BACKWARD, .gradient_count = 1}, ACTUNE_INVALID_ARGUMENT, "member 1: 1 gradients"},
        {{.spec = "topk(2)", .shape = {2, 4, 1}}, ACTUNE_UNSUPPORTED, "member 1 (topk(2)) looks at whole rows"},
        {{.spec = "standardize | relu", .shape = {2, 4, 1}}, ACTUNE_UNSUPPORTED, "member 1 (standardize | relu) has sums or other reductions"},
        {{.spec = "relu", .shape = {INT64_C(1) << 55, 1, 1}}, ACTUNE_INVALID_ARGUMENT, "up to 1"},
    };
    actune_context *context = open_context(1);
    actune_batch *batch = (actune_batch *)context;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        actune_plan_desc desc[2] = {{.spec = "relu", .shape = {1, 1, 4}}, cases[i].desc};
        cr_assert(actune_batch_create(context, desc, 2, &batch) == cases[i].status && !batch && mentions(cases[i].says), "case %zu: %s", i,
                  actune_last_error());
    }
    actune_plan_desc one = {.spec = "relu", .shape = {1, 1, 4}};
    cr_assert(actune_batch_create(context, &one, 0, &batch) == ACTUNE_INVALID_ARGUMENT && mentions("count is 0"));
    cr_assert(actune_batch_create(context, NULL, 1, &batch) == ACTUNE_INVALID_ARGUMENT && mentions("members"));
    cr_assert(actune_batch_create(NULL, &one, 1, &batch) == ACTUNE_INVALID_ARGUMENT && mentions("context"));
    cr_assert(actune_batch_create(context, &one, 1, NULL) == ACTUNE_INVALID_ARGUMENT);
    actune_batch_destroy(NULL);
    actune_context_close(context);
}

Test(batch, executions_that_are_refused_write_nothing)
{
    float x[64], y[64];
    actune_context *context = open_context(1);
    actune_plan_desc desc[3] = {{.spec = "relu", .shape = {4, 1, 4}}, {.spec = "bias | relu", .shape = {4, 4, 1}}, {.spec = "clip(-1, 1)", .shape = {4, 1, 4}}};
    actune_batch *batch = make_batch(context, desc, 3);
    /* x y | x bias y | x y; x is shared */
    const actune_buffer good[7] = {{x, 16, 0}, {y, 16, 0}, {x, 16, 0}, {x, 4, 0}, {y + 16, 16, 0}, {x, 16, 0}, {y + 32, 16, 0}};
    const struct {
        int index;
        actune_buffer buffer;
        const char *says;
    } cases[] = {
        {4, {y + 16, 15, 0}, "buffer 4 (y of member 1) has 15 elements, the plan wants 16"},
        {3, {NULL, 4, 0}, "buffer 3 (bias of member 1) is NULL"},
        {5, {x, 16, ACTUNE_F16}, "buffer 5 (x of member 2) is f16, the plan wants f32"},
        {0, {(char *)x + 1, 16, 0}, "buffer 0 (x of member 0) is not aligned"},
        {6, {y + 15, 16, 0}, "buffer 1 (y of member 0) and buffer 6 (y of member 2) overlap"},
        {6, {y, 16, 0}, "buffer 1 (y of member 0) and buffer 6 (y of member 2) overlap"},
        {6, {x, 16, 0}, "overlap"},
        {3, {y + 44, 4, 0}, "buffer 3 (bias of member 1) and buffer 6 (y of member 2) overlap"},
        {4, {x + 4, 16, 0}, "overlap"},
    };
    for (int i = 0; i < 64; i++)
        x[i] = -1, y[i] = -77;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        actune_buffer buffers[7];
        memcpy(buffers, good, sizeof good);
        buffers[cases[i].index] = cases[i].buffer;
        cr_assert(actune_batch_execute(batch, buffers, 7, NULL) == ACTUNE_INVALID_ARGUMENT && mentions(cases[i].says), "case %zu: %s", i, actune_last_error());
    }
    const int64_t rows[3] = {4, 5, 0}, offsets[4] = {0, 3, 2, 4}, beyond[4] = {0, 1, 4, 5}, negative[3] = {0, -1, 0};
    const struct {
        actune_batch_options options;
        const char *says;
    } options[] = {{{.rows = rows}, "rows[1] is 5; member 1 has at most 4"},
                   {{.rows = negative}, "rows[1] is -1"},
                   {{.offsets = offsets}, "offsets[1] to offsets[2] are 3 to 2"},
                   {{.offsets = beyond}, "offsets[2] to offsets[3] are 4 to 5"},
                   {{.rows = rows, .offsets = offsets}, "both"},
                   {{.stream = x}, "stream"}};
    for (size_t i = 0; i < sizeof options / sizeof *options; i++)
        cr_assert(actune_batch_execute(batch, good, 7, &options[i].options) == ACTUNE_INVALID_ARGUMENT && mentions(options[i].says), "options %zu: %s", i,
                  actune_last_error());
    cr_assert(actune_batch_execute(batch, good, 6, NULL) == ACTUNE_INVALID_ARGUMENT && mentions("6 buffers, the batch has 7"));
    cr_assert(actune_batch_execute(batch, NULL, 7, NULL) == ACTUNE_INVALID_ARGUMENT && actune_batch_execute(NULL, good, 7, NULL) == ACTUNE_INVALID_ARGUMENT);
    for (int i = 0; i < 64; i++)
        cr_assert(y[i] == -77, "something was written");
    cr_assert_eq(actune_batch_execute(batch, good, 7, NULL), ACTUNE_OK, "%s", actune_last_error());
    cr_assert(y[0] == 0 && y[47] == -1 && y[48] == -77);
    actune_batch_destroy(batch);
    actune_context_close(context);
}

/* Two members that differ in this alone. */
Test(batch, in_place_is_each_members_own)
{
    float a[16], b[16], c[16];
    actune_context *context = open_context(1);
    const actune_plan_desc desc[2] = {{.spec = "relu", .shape = {1, 1, 16}, .in_place = true}, {.spec = "relu", .shape = {1, 1, 16}}};
    actune_batch *batch = make_batch(context, desc, 2);
    const actune_buffer good[] = {{a, 16, 0}, {a, 16, 0}, {b, 16, 0}, {c, 16, 0}}, read_too[] = {{a, 16, 0}, {a, 16, 0}, {a, 16, 0}, {c, 16, 0}},
                        other[] = {{a, 16, 0}, {b, 16, 0}, {c, 16, 0}, {c, 16, 0}};
    for (int i = 0; i < 16; i++)
        a[i] = b[i] = c[i] = (float)(i - 8);
    cr_assert(actune_batch_execute(batch, read_too, 4, NULL) == ACTUNE_INVALID_ARGUMENT && mentions("buffer 1 (y of member 0) and buffer 2 (x of member 1) overlap"),
              "%s", actune_last_error());
    cr_assert(actune_batch_execute(batch, other, 4, NULL) == ACTUNE_INVALID_ARGUMENT && mentions("describe the member with in_place"), "%s", actune_last_error());
    cr_assert(a[0] == -8 && b[0] == -8 && c[0] == -8);
    cr_assert_eq(actune_batch_execute(batch, good, 4, NULL), ACTUNE_OK, "%s", actune_last_error());
    cr_assert(a[0] == 0 && a[15] == 7 && b[0] == -8 && c[0] == 0 && c[15] == 7);
    actune_batch_destroy(batch);
    actune_context_close(context);
}
