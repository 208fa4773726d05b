/* A race: arms over the same buffers, each a graph of nodes, timed by device events in interleaved rounds of random order. */
#ifndef AT_BENCH_GPU_RACE_H
#define AT_BENCH_GPU_RACE_H

#include "gpu.h"

enum { GPU_ARMS_MAX = 32, GPU_NAME_MAX = 64 };

typedef struct gpu_arm {
    char name[GPU_NAME_MAX];
    /* Puts one execution on `stream`, which is being captured. */
    actune_status (*put)(void *self, const gpu_set *set, at_cu_stream stream);
    void (*close)(void *self); /* NULL: nothing to close */
    void *self;
    int64_t bytes;    /* algorithmic: each input read once, each output written once */
    bool computes;    /* does what the row says: what it writes must agree with what the first such arm writes */
    char detail[256]; /* a variant, a plan, for the record */
} gpu_arm;

typedef struct gpu_race {
    gpu_arm arm[GPU_ARMS_MAX]; /* the first is the anchor */
    int arms;
    const char *class, *row, *regime; /* row: what all the arms do, for the record; class: whose goal it has, NULL none */
    int64_t elements;
    actune_dtype dtype; /* of the tensor that is written, with arms that compute */
} gpu_race;

/* NULL when there is no room. The caller fills the rest in. */
gpu_arm *gpu_race_add(gpu_race *race, const char *name);
/* Races over `sets` and prints a record for each arm; an arm that cannot be captured says why in its record and is left out. Rounds in which
   the card throttled are done again, at most as many times as there are rounds. Returns what became of the first arm that computes: OK, or why it is
   out of the race. */
actune_status gpu_race_run(gpu_bench *bench, const gpu_race *race, const gpu_sets *sets);
/* A record that the arm is not there, with why. */
void gpu_race_miss(const gpu_bench *bench, const gpu_race *race, const char *arm, const char *why);
void gpu_race_close(gpu_race *race);

#endif
