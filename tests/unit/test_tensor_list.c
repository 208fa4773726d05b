/* Lists of tensors: clipping by value and by norm, against sums in long double and element by element; what is refused. */
#include "codegen/list_kernel.h"
#include "runtime/backend/cpu.h"
#include "runtime/base/dtype.h"
#include "runtime/context.h"

#include <criterion/criterion.h>
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

/* Ends of every kind: less than a vector, of 32 lanes, whole chunks and a few more, nothing at all. */
static const int64_t counts[] = {1, 31, 32, 0, 33, 1000, 16384, 16385, 50007, 7};
enum { TENSORS = sizeof counts / sizeof *counts };

static char cache_folder[128];

static void set_up(void)
{
    snprintf(cache_folder, sizeof cache_folder, "/tmp/actune-test-list-%ld", (long)getpid());
    cr_assert_eq(mkdir(cache_folder, 0700), 0);
}

static void tear_down(void)
{
    char command[256];
    snprintf(command, sizeof command, "rm -rf '%s'", cache_folder);
    cr_assert_eq(system(command), 0);
}

TestSuite(list, .init = set_up, .fini = tear_down);

static actune_context *open_context(int threads)
{
    actune_context_options options = {.database = "", .cache_folder = cache_folder, .max_threads = threads};
    actune_context *context;
    cr_assert_eq(actune_context_open(&options, &context), ACTUNE_OK, "%s", actune_last_error());
    return context;
}

typedef struct tensors {
    actune_dtype dtype;
    actune_buffer buffer[TENSORS];
    void *kept[TENSORS]; /* as they were */
} tensors;

static size_t bytes_of(const tensors *t, int i)
{
    return (size_t)t->buffer[i].count * (size_t)at_dtype_get(t->dtype)->bytes;
}

/* Values of both signs over four powers of ten; each tensor at another alignment. */
static void fill(tensors *t, actune_dtype dtype, double scale)
{
    uint64_t state = 88172645463325252u;
    t->dtype = dtype;
    for (int i = 0; i < TENSORS; i++) {
        size_t bytes = (size_t)at_dtype_get(dtype)->bytes;
        char *memory = malloc((size_t)counts[i] * bytes + 64);
        t->buffer[i] = (actune_buffer){memory + (size_t)i % 3 * bytes, counts[i], dtype};
        for (int64_t k = 0; k < counts[i]; k++) {
            state ^= state << 13, state ^= state >> 7, state ^= state << 17;
            double x = (double)(int64_t)state / 0x1p63;
            at_dtype_store(dtype, t->buffer[i].data, k, scale * x * fabs(x) * x);
        }
        t->kept[i] = malloc(bytes_of(t, i) + 1);
        memcpy(t->kept[i], t->buffer[i].data, bytes_of(t, i));
    }
}

static void restore(tensors *t)
{
    for (int i = 0; i < TENSORS; i++)
        memcpy(t->buffer[i].data, t->kept[i], bytes_of(t, i));
}

static void drop(tensors *t)
{
    for (int i = 0; i < TENSORS; i++) {
        free((char *)t->buffer[i].data - (size_t)i % 3 * (size_t)at_dtype_get(t->dtype)->bytes);
        free(t->kept[i]);
    }
}

static bool untouched(const tensors *t)
{
    for (int i = 0; i < TENSORS; i++)
        if (memcmp(t->kept[i], t->buffer[i].data, bytes_of(t, i)) != 0)
            return false;
    return true;
}

static long double oracle_norm(const tensors *t, actune_norm norm)
{
    long double total = 0;
    for (int i = 0; i < TENSORS; i++)
        for (int64_t k = 0; k < counts[i]; k++) {
            long double x = fabsl((long double)at_dtype_load(t->dtype, t->kept[i], k));
            total = norm == ACTUNE_NORM_INF ? fmaxl(total, x) : total + (norm == ACTUNE_NORM_2 ? x * x : x);
        }
    return norm == ACTUNE_NORM_2 ? sqrtl(total) : total;
}

/* Every element is the old one times the coefficient, rounded to the compute type and to the element type. */
static void check_scaled(const tensors *t, double coefficient)
{
    for (int i = 0; i < TENSORS; i++)
        for (int64_t k = 0; k < counts[i]; k++) {
            double x = at_dtype_load(t->dtype, t->kept[i], k), y = at_dtype_load(t->dtype, t->buffer[i].data, k), place[1];
            at_dtype_store(t->dtype, place, 0, t->dtype == ACTUNE_F64 ? x * coefficient : (double)((float)x * (float)coefficient));
            double wanted = at_dtype_load(t->dtype, place, 0);
            cr_assert(wanted == y || (isnan(wanted) && isnan(y)), "tensor %d[%lld]: %.17g * %.17g is %.17g, not %.17g", i, (long long)k, x,
                      coefficient, wanted, y);
        }
}

static actune_tensor_list *make_list(actune_context *context, const tensors *t)
{
    actune_tensor_list *list;
    cr_assert_eq(actune_tensor_list_create(context, t->buffer, TENSORS, &list), ACTUNE_OK, "%s", actune_last_error());
    return list;
}

static void check_norms(actune_context *context, tensors *t)
{
    actune_tensor_list *list = make_list(context, t);
    for (int norm = 0; norm < 3; norm++) {
        actune_clip_norm_options options = {.norm = (actune_norm)norm};
        actune_clip_result result, again;
        long double wanted = oracle_norm(t, (actune_norm)norm), max_norm = wanted / 3;
        cr_assert_eq(actune_clip_norm(list, (double)max_norm, &options, &result), ACTUNE_OK, "%s", actune_last_error());
        cr_assert(fabsl((long double)result.norm - wanted) <= (t->dtype == ACTUNE_F64 ? 1e-13L : 3e-7L) * wanted, "norm %d of %s: %.17g, not %.17Lg", norm, at_dtype_get(t->dtype)->name,
                  result.norm, wanted);
        double exact = (double)(max_norm / (wanted + 1e-6L));
        cr_assert(fabs(result.coefficient - exact) <= (t->dtype == ACTUNE_F64 ? 1e-12 : 4e-7) * exact && result.scaled && !result.not_finite);
        check_scaled(t, result.coefficient);
        restore(t);
        options.compute_only = true;
        cr_assert_eq(actune_clip_norm(list, (double)max_norm, &options, &again), ACTUNE_OK);
        cr_assert(again.norm == result.norm && again.coefficient_f32 == (float)result.coefficient && !again.scaled && untouched(t));
    }
    actune_tensor_list_destroy(list);
}

Test(list, norms_and_scaling_in_every_type)
{
    actune_context *context = open_context(0);
    for (int dtype = 0; dtype < AT_DTYPE_WIDE_COUNT; dtype++) {
        tensors t;
        fill(&t, (actune_dtype)dtype, 8);
        check_norms(context, &t);
        drop(&t);
    }
    actune_context_close(context);
}

/* What others have added up: the last tensors are not read for the norm (PROT_NONE would fault; here they hold NaN), and scaled all the same. */
Test(list, sums_of_others_stand_for_the_last_tensors)
{
    enum { SUMMED = 3 };
    for (int threads = 1; threads <= 2; threads++) {
        actune_context *context = open_context(threads);
        tensors t;
        fill(&t, ACTUNE_F32, 3);
        actune_tensor_list *list = make_list(context, &t);
        for (int norm = 0; norm < 3; norm++) {
            double part[SUMMED] = {0};
            for (int i = 0; i < SUMMED; i++)
                for (int64_t k = 0; k < counts[TENSORS - SUMMED + i]; k++) {
                    double x = fabs(at_dtype_load(ACTUNE_F32, t.kept[TENSORS - SUMMED + i], k));
                    part[i] = norm == ACTUNE_NORM_INF ? fmax(part[i], x) : part[i] + (norm == ACTUNE_NORM_2 ? x * x : x);
                }
            float narrow[SUMMED] = {(float)part[0], (float)part[1], (float)part[2]};
            const actune_buffer sums[] = {{part, SUMMED, ACTUNE_F64}, {narrow, SUMMED, ACTUNE_F32}};
            for (int s = 0; s < 2; s++) {
                actune_clip_norm_options options = {.norm = (actune_norm)norm, .sums = &sums[s], .summed_tensors = SUMMED, .compute_only = true};
                actune_clip_result result;
                long double wanted = oracle_norm(&t, (actune_norm)norm);
                for (int i = TENSORS - SUMMED; i < TENSORS; i++)
                    at_dtype_store(ACTUNE_F32, t.buffer[i].data, 0, NAN); /* whoever reads it shows it */
                cr_assert_eq(actune_clip_norm(list, 1, &options, &result), ACTUNE_OK, "%s", actune_last_error());
                cr_assert(fabsl((long double)result.norm - wanted) <= 3e-7L * wanted, "norm %d: %.17g, not %.17Lg", norm, result.norm, wanted);
                restore(&t);
                options.compute_only = false;
                cr_assert(actune_clip_norm(list, (double)wanted / 3, &options, &result) == ACTUNE_OK && result.scaled);
                check_scaled(&t, result.coefficient);
                restore(&t);
            }
        }
        actune_tensor_list_destroy(list);
        drop(&t);
        actune_context_close(context);
    }
}

/* The way it is meant: the kernel that makes a gradient gives its sum of squares (grad_norm), and the clip reads only the others. */
Test(list, grad_norm_of_a_backward_kernel_goes_into_the_clip)
{
    enum { COUNT = 40000, OTHERS = 700 };
    static float x[COUNT], dy[COUNT], dx[COUNT], others[OTHERS];
    static const char *const gradients[] = {"grad_norm"};
    actune_context *context = open_context(0);
    actune_plan *plan;
    actune_plan_desc desc = {.spec = "grad_norm | gelu", .direction = ACTUNE_BACKWARD, .shape = {1, 1, COUNT}, .gradients = gradients, .gradient_count = 1};
    float squares;
    for (int i = 0; i < COUNT; i++)
        x[i] = (float)(i % 97 - 48) / 20, dy[i] = (float)(i % 31 - 15) / 100;
    for (int i = 0; i < OTHERS; i++)
        others[i] = (float)(i % 7 - 3) / 10;
    cr_assert_eq(actune_plan_create(context, &desc, &plan), ACTUNE_OK, "%s", actune_last_error());
    actune_buffer ports[] = {{x, COUNT, ACTUNE_F32}, {dy, COUNT, ACTUNE_F32}, {dx, COUNT, ACTUNE_F32}, {&squares, 1, ACTUNE_F32}};
    cr_assert_eq(actune_execute(plan, ports, 4), ACTUNE_OK, "%s", actune_last_error());
    long double total = 0;
    for (int i = 0; i < COUNT; i++)
        total += (long double)dx[i] * dx[i];
    for (int i = 0; i < OTHERS; i++)
        total += (long double)others[i] * others[i];
    const actune_buffer both[] = {{others, OTHERS, ACTUNE_F32}, {dx, COUNT, ACTUNE_F32}}, sums = {&squares, 1, ACTUNE_F32};
    float before = dx[12345];
    actune_tensor_list *list;
    actune_clip_result result;
    cr_assert_eq(actune_tensor_list_create(context, both, 2, &list), ACTUNE_OK);
    cr_assert_eq(actune_clip_norm(list, 1, &(actune_clip_norm_options){.sums = &sums, .summed_tensors = 1}, &result), ACTUNE_OK);
    cr_assert(fabsl((long double)result.norm - sqrtl(total)) <= 1e-6L * sqrtl(total) && result.scaled, "%.17g, not %.17Lg", result.norm, sqrtl(total));
    cr_assert(dx[12345] == before * result.coefficient_f32);
    actune_tensor_list_destroy(list);
    actune_plan_destroy(plan);
    actune_context_close(context);
}

Test(list, sums_that_make_no_sense)
{
    double value[2] = {1, 1};
    actune_context *context = open_context(1);
    tensors t;
    fill(&t, ACTUNE_F32, 3);
    actune_tensor_list *list = make_list(context, &t);
    const struct {
        actune_buffer sums;
        bool none;
        int summed;
        const char *says;
    } cases[] = {{{value, 1, ACTUNE_F64}, false, -1, "summed_tensors is -1"},
                 {{value, 1, ACTUNE_F64}, false, TENSORS + 1, "summed_tensors is 11; the list has 10"},
                 {{value, 1, ACTUNE_F64}, true, 1, "nothing speaks"},
                 {{value, 1, ACTUNE_BF16}, false, 1, "f32 or f64"},
                 {{value, 0, ACTUNE_F64}, false, 1, "0 values"},
                 {{NULL, 1, ACTUNE_F64}, false, 1, "sums is NULL"},
                 {{(char *)value + 2, 1, ACTUNE_F32}, false, 1, "aligned"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const actune_clip_norm_options options = {.sums = cases[i].none ? NULL : &cases[i].sums, .summed_tensors = cases[i].summed};
        cr_assert_eq(actune_clip_norm(list, 1e-3, &options, NULL), ACTUNE_INVALID_ARGUMENT, "case %zu", i);
        cr_assert(strstr(actune_last_error(), cases[i].says) && untouched(&t), "case %zu: %s", i, actune_last_error());
    }
    actune_tensor_list_destroy(list);
    drop(&t);
    actune_context_close(context);
}

/* Squares of f32 that f32 does not hold: PyTorch's norm is inf here, and 0 below. */
Test(list, squares_beyond_f32)
{
    actune_context *context = open_context(0);
    const double scales[] = {1e30, 1e-30, 1e18};
    for (int i = 0; i < 3; i++) {
        tensors t;
        fill(&t, ACTUNE_F32, scales[i]);
        actune_tensor_list *list = make_list(context, &t);
        actune_clip_result result;
        cr_assert_eq(actune_clip_norm(list, ACTUNE_MAX_NORM_DEFAULT, NULL, &result), ACTUNE_OK);
        long double wanted = oracle_norm(&t, ACTUNE_NORM_2);
        cr_assert(fabsl((long double)result.norm - wanted) <= 3e-7L * wanted && !result.not_finite && result.scaled == (i != 1));
        actune_tensor_list_destroy(list);
        drop(&t);
    }
    actune_context_close(context);
}

/* One thread, all of them, and the plain loops leave the same bits. */
Test(list, the_same_bits_however_it_runs)
{
    actune_context *one = open_context(1), *all = open_context(0);
    for (int dtype = 0; dtype < AT_DTYPE_WIDE_COUNT; dtype++)
        for (int norm = 0; norm < 3; norm++) {
            actune_clip_norm_options options = {.norm = (actune_norm)norm};
            actune_clip_result result[3];
            void *bits[3][TENSORS];
            tensors t;
            fill(&t, (actune_dtype)dtype, 3);
            for (int way = 0; way < 3; way++) {
                setenv("ACTUNE_INTERPRET", way == 2 ? "1" : "0", 1);
                actune_tensor_list *list = make_list(way == 0 ? one : all, &t);
                actune_tensor_list_info info;
                actune_tensor_list_describe(list, &info);
                cr_assert_eq(strcmp(info.kernels, "plain loops") == 0, way == 2, "%s: %s", info.kernels, info.note);
                cr_assert_eq(actune_clip_norm(list, 0.01, &options, &result[way]), ACTUNE_OK);
                cr_assert_eq(actune_clip_value(list, 1e-5, NULL), ACTUNE_OK);
                for (int i = 0; i < TENSORS; i++) {
                    bits[way][i] = malloc(bytes_of(&t, i) + 1);
                    memcpy(bits[way][i], t.buffer[i].data, bytes_of(&t, i));
                }
                actune_tensor_list_destroy(list);
                restore(&t);
            }
            for (int way = 1; way < 3; way++) {
                cr_assert(memcmp(&result[0], &result[way], sizeof result[0]) == 0, "%d %d %d: %.17g %.17g", dtype, norm, way, result[0].norm,
                          result[way].norm);
                for (int i = 0; i < TENSORS; i++)
                    cr_assert(memcmp(bits[0][i], bits[way][i], bytes_of(&t, i)) == 0, "type %d, norm %d, way %d, tensor %d", dtype, norm, way, i);
            }
            for (int way = 0; way < 3; way++)
                for (int i = 0; i < TENSORS; i++)
                    free(bits[way][i]);
            drop(&t);
        }
    actune_context_close(one);
    actune_context_close(all);
}

/* Every value of every knob: the bits of the default. */
Test(list, every_variant)
{
    static const char *const widths[] = {"64", "32", "16"}, *const aheads[] = {"0", "1024", "4096"}, *const unrolls[] = {"2", "1", "4"};
    actune_context *context = open_context(1);
    const at_target target = at_context_target(context);
    tensors t;
    fill(&t, ACTUNE_BF16, 3);
    double wanted[3][1], got[1], factor = 0.37;
    void *scaled = malloc(bytes_of(&t, 8));
    int made = 0;
    for (int v = 0; v < 9; v += v < 3 ? 1 : 3) { /* every width, and every value of the others with the widest */
        char norm[64], scale[64];
        at_strbuf source = {0};
        at_binary *binary;
        at_build_info build;
        snprintf(norm, sizeof norm, "cpu/list_norm width=%s prefetch=%s", widths[v / 3], aheads[v % 3]);
        snprintf(scale, sizeof scale, "cpu/list_scale width=%s unroll=%s", widths[v / 3], unrolls[v % 3]);
        actune_status status = at_generate_list(ACTUNE_BF16, &target, norm, scale, &source);
        if (status == ACTUNE_UNSUPPORTED) { /* wider than this machine's vectors */
            at_strbuf_clear(&source);
            continue;
        }
        cr_assert_eq(status, ACTUNE_OK, "%s", actune_last_error());
        cr_assert_eq(at_binary_build(context->cache, at_strbuf_text(&source), at_isa_name(target.isa), false, &binary, &build), ACTUNE_OK, "%s",
                     actune_last_error());
        at_list_chunk chunk = {t.buffer[8].data, 16001};
        void *port[] = {&chunk, &factor};
        for (int k = 0; k < 3; k++) {
            char name[32];
            snprintf(name, sizeof name, "actune_list_norm%d", k);
            at_binary_symbol(binary, name)(&(actune_slice){.port = port, .end = 1, .partial = made == 0 ? wanted[k] : got});
            cr_assert(made == 0 || memcmp(got, wanted[k], sizeof got) == 0, "%s: norm %d", norm, k);
        }
        at_binary_symbol(binary, "actune_list_scale")(&(actune_slice){.port = port, .end = 1});
        if (made++ == 0)
            memcpy(scaled, t.buffer[8].data, bytes_of(&t, 8));
        cr_assert(memcmp(scaled, t.buffer[8].data, bytes_of(&t, 8)) == 0, "%s", scale);
        restore(&t);
        at_binary_release(binary);
        at_strbuf_clear(&source);
    }
    cr_assert_geq(made, 1);
    free(scaled);
    drop(&t);
    actune_context_close(context);
}

enum { THREADS = 4, ROUNDS = 50 };

static void *measure_along(void *user)
{
    const actune_tensor_list *list = user;
    actune_clip_norm_options options = {.compute_only = true};
    actune_clip_result first, again;
    bool good = actune_clip_norm(list, 1, &options, &first) == ACTUNE_OK;
    for (int i = 0; i < ROUNDS && good; i++)
        good = actune_clip_norm(list, 1, &options, &again) == ACTUNE_OK && memcmp(&first, &again, sizeof first) == 0;
    return good ? user : NULL;
}

/* Several threads measure one list at once. */
Test(list, threads_share_a_list)
{
    actune_context *context = open_context(0);
    pthread_t thread[THREADS];
    tensors t;
    fill(&t, ACTUNE_F32, 3);
    actune_tensor_list *list = make_list(context, &t);
    for (int i = 0; i < THREADS; i++)
        cr_assert_eq(pthread_create(&thread[i], NULL, measure_along, list), 0);
    for (int i = 0; i < THREADS; i++) {
        void *good;
        cr_assert_eq(pthread_join(thread[i], &good), 0);
        cr_assert_not_null(good);
    }
    cr_assert(untouched(&t));
    actune_tensor_list_destroy(list);
    drop(&t);
    actune_context_close(context);
}

Test(list, nothing_is_written_where_nothing_is_clipped)
{
    actune_context *context = open_context(0);
    size_t bytes = 1 << 20;
    float *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    cr_assert_neq(memory, MAP_FAILED);
    memory[77] = 3, memory[78] = -4;
    cr_assert_eq(mprotect(memory, bytes, PROT_READ), 0); /* a write is a fault */
    actune_buffer buffer = {memory, (int64_t)(bytes / sizeof *memory), ACTUNE_F32};
    actune_tensor_list *list;
    actune_clip_result result;
    cr_assert_eq(actune_tensor_list_create(context, &buffer, 1, &list), ACTUNE_OK);
    const double bounds[] = {5.1, 1e300, INFINITY};
    for (int i = 0; i < 3; i++) {
        cr_assert_eq(actune_clip_norm(list, bounds[i], NULL, &result), ACTUNE_OK);
        cr_assert(result.norm == 5 && result.coefficient == 1 && !result.scaled);
    }
    actune_tensor_list_destroy(list);
    munmap(memory, bytes);
    actune_context_close(context);
}

/* As torch.nn.utils.clip_grad_norm_: an infinite norm multiplies with 0 (inf * 0 is NaN), a NaN with NaN. */
Test(list, norms_that_are_not_finite)
{
    actune_context *context = open_context(0);
    for (int norm = 0; norm < 3; norm++)
        for (int is_nan = 0; is_nan < 2; is_nan++) {
            float x[40] = {1, -2, 3};
            x[39] = is_nan ? NAN : -INFINITY;
            actune_buffer buffer[] = {{x, 20, ACTUNE_F32}, {x + 20, 20, ACTUNE_F32}};
            actune_clip_norm_options options = {.norm = (actune_norm)norm, .error_if_nonfinite = true};
            actune_clip_result result;
            actune_tensor_list *list;
            cr_assert_eq(actune_tensor_list_create(context, buffer, 2, &list), ACTUNE_OK);
            cr_assert_eq(actune_clip_norm(list, 1e9, &options, &result), ACTUNE_NOT_FINITE);
            cr_assert(result.not_finite && !result.scaled && x[1] == -2, "something was written");
            options.error_if_nonfinite = false;
            cr_assert_eq(actune_clip_norm(list, 1e9, &options, &result), ACTUNE_OK);
            cr_assert(result.not_finite && result.scaled && isnan(x[39]) && (is_nan ? isnan(x[1]) : x[1] == 0));
            cr_assert(is_nan ? isnan(result.norm) && isnan(result.coefficient_f32) : isinf(result.norm) && result.coefficient == 0);
            x[0] = 1;
            x[39] = INFINITY;
            cr_assert_eq(actune_clip_norm(list, INFINITY, &options, &result), ACTUNE_OK); /* inf / inf */
            cr_assert(isnan(x[0]), "the early exit was taken");
            actune_tensor_list_destroy(list);
        }
    actune_context_close(context);
}

/* By the plain loops, whose bits the compiled kernels have (above). */
Test(list, by_value)
{
    setenv("ACTUNE_INTERPRET", "1", 1);
    actune_context *context = open_context(0);
    for (int dtype = 0; dtype < AT_DTYPE_WIDE_COUNT; dtype++) {
        tensors t;
        fill(&t, (actune_dtype)dtype, 8);
        at_dtype_store(t.dtype, t.buffer[1].data, 3, NAN);
        at_dtype_store(t.dtype, t.buffer[1].data, 4, -INFINITY);
        at_dtype_store(t.dtype, t.buffer[1].data, 5, -0.0);
        actune_tensor_list *list = make_list(context, &t);
        cr_assert_eq(actune_clip_value(list, 0.3, NULL), ACTUNE_OK);
        for (int i = 0; i < TENSORS; i++)
            for (int64_t k = 0; k < counts[i]; k++) {
                double x = at_dtype_load(t.dtype, t.kept[i], k), place[1];
                if (i == 1 && k >= 3 && k <= 5)
                    x = k == 3 ? (double)NAN : k == 4 ? -(double)INFINITY : -0.0;
                at_dtype_store(t.dtype, place, 0, x > 0.3 ? 0.3 : x < -0.3 ? -0.3 : x);
                double wanted = at_dtype_load(t.dtype, place, 0), y = at_dtype_load(t.dtype, t.buffer[i].data, k);
                cr_assert((wanted == y && !signbit(wanted) == !signbit(y)) || (isnan(wanted) && isnan(y)), "type %d, %d[%lld]: %g, not %g", dtype, i,
                          (long long)k, y, wanted);
            }
        actune_tensor_list_destroy(list);
        drop(&t);
    }
    actune_context_close(context);
}

static void refused(actune_context *context, const actune_buffer *buffers, int count, const char *says)
{
    actune_tensor_list *list = (actune_tensor_list *)1;
    cr_assert_eq(actune_tensor_list_create(context, buffers, count, &list), ACTUNE_INVALID_ARGUMENT, "%s", says);
    cr_assert(strstr(actune_last_error(), says) != NULL && list == NULL, "'%s' does not say '%s'", actune_last_error(), says);
}

Test(list, bad_input)
{
    setenv("ACTUNE_INTERPRET", "1", 1); /* nothing to compile */
    actune_context *context = open_context(0);
    float x[8] = {3, 4};
    const actune_buffer good = {x, 4, ACTUNE_F32};
    refused(context, &good, 0, "count is 0");
    refused(context, &good, -1, "count is -1");
    refused(context, NULL, 2, "tensors is NULL");
    refused(NULL, &good, 1, "context is NULL");
    refused(context, (actune_buffer[]){good, {x + 4, 4, ACTUNE_F16}}, 2, "tensor 1 is f16, tensor 0 f32");
    refused(context, (actune_buffer[]){good, {x + 4, 4, (actune_dtype)9}}, 2, "tensor 1 is of no known element type");
    refused(context, (actune_buffer[]){good, {x + 4, -4, ACTUNE_F32}}, 2, "tensor 1 has -4 elements");
    refused(context, (actune_buffer[]){good, {NULL, 4, ACTUNE_F32}}, 2, "tensor 1 is NULL");
    refused(context, (actune_buffer[]){{(char *)x + 17, 2, ACTUNE_F32}}, 1, "tensor 0 is not aligned");
    refused(context, (actune_buffer[]){{x, INT64_MAX, ACTUNE_F32}}, 1, "tensor 0 does not fit");
    refused(context, (actune_buffer[]){{x + 4, 4, ACTUNE_F32}, {x + 3, 0, ACTUNE_F32}, {x, 5, ACTUNE_F32}}, 3, "tensors 0 and 2 overlap");
    cr_assert_eq(actune_tensor_list_create(context, &good, 1, NULL), ACTUNE_INVALID_ARGUMENT);

    actune_tensor_list *list;
    cr_assert_eq(actune_tensor_list_create(context, &good, 1, &list), ACTUNE_OK);
    const actune_clip_norm_options strange = {.norm = (actune_norm)7}, device = {.workspace = x};
    cr_assert_eq(actune_clip_norm(list, -1, NULL, NULL), ACTUNE_INVALID_ARGUMENT);
    cr_assert(strstr(actune_last_error(), "max_norm is -1"));
    cr_assert_eq(actune_clip_norm(list, NAN, NULL, NULL), ACTUNE_INVALID_ARGUMENT);
    cr_assert_eq(actune_clip_norm(list, 1, &strange, NULL), ACTUNE_INVALID_ARGUMENT);
    cr_assert(strstr(actune_last_error(), "norm 7"));
    cr_assert_eq(actune_clip_norm(list, 1, &device, NULL), ACTUNE_INVALID_ARGUMENT);
    cr_assert_eq(actune_clip_norm(NULL, 1, NULL, NULL), ACTUNE_INVALID_ARGUMENT);
    cr_assert_eq(actune_clip_value(list, -0.5, NULL), ACTUNE_INVALID_ARGUMENT);
    cr_assert_eq(actune_clip_value(list, NAN, NULL), ACTUNE_INVALID_ARGUMENT);
    cr_assert_eq(actune_clip_value(list, 1, x), ACTUNE_INVALID_ARGUMENT);
    cr_assert_eq(actune_clip_value(NULL, 1, NULL), ACTUNE_INVALID_ARGUMENT);
    cr_assert(x[0] == 3 && x[1] == 4);
    actune_clip_norm_options inf = {.norm = ACTUNE_NORM_INF};
    cr_assert_eq(actune_clip_norm(list, 0, &inf, NULL), ACTUNE_OK); /* 0 is a bound, as in torch */
    cr_assert(x[0] == 0 && x[1] == 0);
    actune_tensor_list_destroy(list);
    actune_tensor_list_destroy(NULL);

    const actune_buffer empty = {NULL, 0, ACTUNE_F32};
    actune_clip_result result;
    cr_assert_eq(actune_tensor_list_create(context, &empty, 1, &list), ACTUNE_OK, "%s", actune_last_error());
    actune_context_close(context); /* the list keeps it */
    cr_assert_eq(actune_clip_norm(list, 1, NULL, &result), ACTUNE_OK);
    cr_assert(result.norm == 0 && result.coefficient == 1 && !result.scaled);
    cr_assert_eq(actune_clip_value(list, 1, NULL), ACTUNE_OK);
    actune_tensor_list_destroy(list);
}
