/* What clipping 300 gradients of a ResNet-152 by their global norm costs, beside the floors: reading all bytes once where nothing is
   clipped, reading once and then reading and writing once where it is. Rounds are interleaved; medians are printed.
     bench_clip_list [ROUNDS] [f32|f16|bf16|f64]
     bench_clip_list --serve   one round for each line on standard input: "unclipped_ns clipped_ns" (bench/clip_list.py, beside PyTorch)
     bench_clip_list --sizes   the tensors' sizes */
#include "runtime/base/dtype.h"
#include "runtime/pool.h"
#include "tuner/stats.h"

#include <actune/actune.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { TENSORS = 300, ROUNDS_MAX = 1000 };

static double now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static void must(actune_status status)
{
    if (status) {
        fprintf(stderr, "%s\n", actune_last_error());
        exit(1);
    }
}

/* Weights of the convolutions with the scales of the batch norms behind them, as many as there are places for; the classifier last. */
static void list_sizes(int64_t *size)
{
    static const int blocks[] = {3, 8, 36, 3};
    int count = 0;
    int64_t in = 64;
    size[count++] = 64 * 3 * 49;
    size[count++] = 64;
    for (int stage = 0; stage < 4; stage++)
        for (int block = 0; block < blocks[stage]; block++) {
            int64_t width = (int64_t)64 << stage, out = 4 * width;
            const int64_t made[] = {in * width, width, width * width * 9, width, width * out, out};
            for (int i = 0; i < 6 && count < TENSORS - 1; i++)
                size[count++] = made[i];
            in = out;
        }
    size[count++] = 2048 * 1000;
    while (count < TENSORS)
        size[count++] = 1000;
}

/* --- the floors: plain loops over the same memory, by as many threads --- */

typedef struct floor_work {
    const actune_buffer *buffer;
    size_t element_bytes, all_bytes;
    int threads;
    _Atomic uint64_t seen; /* so that the reading is not left out */
} floor_work;

typedef uint64_t u64x8 __attribute__((vector_size(64), aligned(1)));

static uint64_t read_span(const char *memory, size_t bytes)
{
    u64x8 a = {0}, b = {0};
    for (size_t i = 0; i + 128 <= bytes; i += 128) {
        a ^= *(const u64x8 *)(memory + i);
        b ^= *(const u64x8 *)(memory + i + 64);
    }
    a ^= b;
    return a[0] ^ a[3] ^ a[7];
}

/* Changes the lowest bits, and back the next time. */
static uint64_t flip_span(char *memory, size_t bytes)
{
    for (size_t i = 0; i + 64 <= bytes; i += 64)
        *(u64x8 *)(memory + i) ^= 1;
    return 0;
}

/* Thread `piece`'s share of all bytes, tensor after tensor. */
static void each_span(floor_work *work, int piece, bool write)
{
    size_t begin = work->all_bytes / (size_t)work->threads * (size_t)piece, place = 0;
    size_t end = piece + 1 == work->threads ? work->all_bytes : begin + work->all_bytes / (size_t)work->threads;
    for (int i = 0; i < TENSORS; i++) {
        size_t bytes = (size_t)work->buffer[i].count * work->element_bytes;
        size_t from = begin > place ? begin - place : 0, to = end > place ? end - place : 0;
        to = to < bytes ? to : bytes;
        if (from < to) {
            char *memory = (char *)work->buffer[i].data + from;
            work->seen ^= write ? flip_span(memory, to - from) : read_span(memory, to - from);
        }
        place += bytes;
    }
}

static void read_piece(void *user, int piece)
{
    each_span(user, piece, false);
}

static void flip_piece(void *user, int piece)
{
    each_span(user, piece, true);
}

static double time_floor(at_pool *pool, floor_work *work, void (*piece)(void *, int))
{
    double start = now_ns();
    at_pool_run(pool, work->threads, piece, work);
    return now_ns() - start;
}

/* --- the list --- */

typedef struct list_work {
    actune_context *context;
    actune_tensor_list *list;
    actune_tensor_list_info info;
    actune_buffer buffer[TENSORS];
    size_t bytes;
} list_work;

static void make_list(list_work *work, actune_dtype dtype)
{
    int64_t size[TENSORS];
    actune_buffer *buffer = work->buffer;
    actune_context_options options = {.database = ""};
    list_sizes(size);
    for (int i = 0; i < TENSORS; i++) {
        size_t bytes = (size_t)size[i] * (size_t)at_dtype_get(dtype)->bytes;
        buffer[i] = (actune_buffer){aligned_alloc(64, (bytes + 63) / 64 * 64), size[i], dtype};
        for (int64_t k = 0; k < size[i]; k++)
            at_dtype_store(dtype, buffer[i].data, k, (double)(k * 37 % 61 - 30) / 1e3);
        work->bytes += bytes;
    }
    must(actune_context_open(&options, &work->context));
    must(actune_tensor_list_create(work->context, buffer, TENSORS, &work->list));
    actune_tensor_list_describe(work->list, &work->info);
}

/* Clipping to 0.999999 of the norm leaves the values as they are, nearly, so every round does the same. */
static double time_clip(const list_work *work, bool clipped)
{
    actune_clip_norm_options measure = {.compute_only = true};
    actune_clip_result result;
    must(actune_clip_norm(work->list, 1, &measure, &result));
    double bound = result.norm * (clipped ? 0.999999 : 1.5), start = now_ns();
    must(actune_clip_norm(work->list, bound, NULL, &result));
    double took = now_ns() - start;
    if (result.scaled != clipped)
        fprintf(stderr, "clipping did not go as planned\n"), exit(1);
    return took;
}

static void serve(const list_work *work)
{
    char line[16];
    while (fgets(line, sizeof line, stdin)) {
        double unclipped = time_clip(work, false);
        printf("%.0f %.0f\n", unclipped, time_clip(work, true));
        fflush(stdout);
    }
}

static void print_row(const char *what, double ns, double floor, size_t bytes)
{
    printf("%-12s %9.3f ms  %6.1f GB/s  floor %9.3f ms  %.2f of it\n", what, ns / 1e6, (double)bytes / ns, floor / 1e6, floor / ns);
}

static void race(const list_work *work, int rounds)
{
    static double unclipped[ROUNDS_MAX], clipped[ROUNDS_MAX], floor_read[ROUNDS_MAX], floor_all[ROUNDS_MAX], share[2][ROUNDS_MAX];
    floor_work bare = {.buffer = work->buffer, .element_bytes = (size_t)at_dtype_get(work->info.dtype)->bytes, .all_bytes = work->bytes,
                       .threads = work->info.threads};
    at_pool *pool;
    must(at_pool_create(work->info.threads, &pool));
    for (int r = -1; r < rounds; r++) { /* the first one warms */
        int k = r < 0 ? 0 : r;
        floor_read[k] = time_floor(pool, &bare, read_piece);
        unclipped[k] = time_clip(work, false);
        floor_all[k] = time_floor(pool, &bare, read_piece) + time_floor(pool, &bare, flip_piece);
        clipped[k] = time_clip(work, true);
        share[0][k] = floor_read[k] / unclipped[k];
        share[1][k] = floor_all[k] / clipped[k];
    }
    print_row("unclipped", at_median(unclipped, rounds), at_median(floor_read, rounds), work->bytes);
    print_row("clipped", at_median(clipped, rounds), at_median(floor_all, rounds), 3 * work->bytes);
    printf("medians of the rounds' own ratios: %.2f and %.2f\n", at_median(share[0], rounds), at_median(share[1], rounds));
    at_pool_destroy(pool);
}

int main(int argc, char **argv)
{
    static list_work work;
    actune_dtype dtype = ACTUNE_F32;
    int rounds = argc > 1 && argv[1][0] != '-' ? atoi(argv[1]) : 21;
    if (rounds < 1 || rounds > ROUNDS_MAX || (argc > 2 && !at_dtype_find(argv[2], &dtype)))
        return fprintf(stderr, "usage: %s [ROUNDS] [f32|f16|bf16|f64] | --serve | --sizes\n", argv[0]), 2;
    if (argc > 1 && !strcmp(argv[1], "--sizes")) {
        int64_t size[TENSORS];
        list_sizes(size);
        for (int i = 0; i < TENSORS; i++)
            printf("%lld\n", (long long)size[i]);
        return 0;
    }
    make_list(&work, dtype);
    if (argc > 1 && !strcmp(argv[1], "--serve"))
        return serve(&work), 0;
    printf("%d tensors of %s, %lld elements, %.1f MB, %d threads, %s\n", work.info.tensors, at_dtype_get(dtype)->name,
           (long long)work.info.elements, (double)work.bytes / 1e6, work.info.threads, work.info.kernels);
    race(&work, rounds);
    actune_tensor_list_destroy(work.list);
    actune_context_close(work.context);
    return 0;
}
