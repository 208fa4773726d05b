/* What the GPU benchmarks share: a device, sets of buffers, records in JSON Lines on standard output. Programs, so they print and exit. */
#ifndef AT_BENCH_GPU_H
#define AT_BENCH_GPU_H

#include "clocks.h"
#include "find.h"
#include "runtime/backend/cuda_memory.h"
#include "runtime/backend/cuda_module.h"
#include "runtime/backend/cuda_time.h"
#include "tuner/stats.h"

enum { GPU_TENSORS_MAX = 8, GPU_ROUNDS_MAX = 64, GPU_TINY_SHAPES = 2 };

typedef struct gpu_bench {
    const char *name; /* of the program, in every record */
    at_cuda_device *device;
    at_cache *cache;
    at_cuda_timer timer;
    gpu_clocks clocks;
    at_random random;
    int rounds;
    int64_t l2_bytes; /* what a cold set is measured against */
    bool tiny;        /* ACTUNE_GPU_CHECK_TINY: a run over an emulated device, whose times mean nothing */
} gpu_bench;

/* Opens cuda:0 and prints a record about it. The exit status that is to be given: 0, or gpu_find's, or 1 with the error on stderr; then nothing is
   left open. */
int gpu_open(const char *name, gpu_bench *bench);
/* Closes, says the last error where `status` is one; the exit status. */
int gpu_finish(gpu_bench *bench, actune_status status);

/* One tensor of each kind a work needs; a graph's nodes go through the sets in turn. */
typedef struct gpu_set {
    void *tensor[GPU_TENSORS_MAX];
} gpu_set;

typedef struct gpu_sets {
    gpu_set *set;
    int count, tensors;
    size_t bytes; /* of one set */
} gpu_sets;

/* Whether the regime's sets fit into nine tenths of what is free; else false, with the numbers as the last error. */
bool gpu_sets_fit(const gpu_bench *bench, const size_t *tensor_bytes, int tensors, bool cold);
/* The regime's sets: cold, together at least 5 times the L2 cache; warm, one. The tensors hold random numbers.
   NO_MEMORY leaves nothing behind. */
actune_status gpu_sets_make(const gpu_bench *bench, const size_t *tensor_bytes, int tensors, bool cold, gpu_sets *sets);
void gpu_sets_free(const gpu_bench *bench, gpu_sets *sets);
/* Launches in one graph: every set at least once, and long enough for the events' resolution. */
int gpu_nodes_for(const gpu_bench *bench, const gpu_sets *sets);

/* A record: {"bench": ..., then fields, then the end. */
void gpu_record(const gpu_bench *bench);
void gpu_text(const char *key, const char *value);
void gpu_number(const char *key, double value); /* not finite: null */
void gpu_integer(const char *key, int64_t value);
void gpu_end(void);

double gpu_now_ns(void);

#endif
