/* Our side of a comparison, through the public interface alone, as a user's program has it. */
#ifndef AT_BENCH_GPU_OURS_H
#define AT_BENCH_GPU_OURS_H

#include "race.h"

#include <actune/actune.h>

/* One row of the fixed list. */
typedef struct gpu_row {
    char class[32]; /* whose goal it has: "unary", "2 reads", "exact" ... */
    char spec[160];
    actune_direction direction;
    actune_dtype dtype;
    actune_shape shape;
} gpu_row;

/* "relu forward f16 1x1x4096", in all records about the row; static. */
const char *gpu_row_name(const gpu_row *row);

/* The contexts that the arms' plans come from; both on cuda:0. */
typedef struct gpu_ours {
    actune_context *tuned;   /* the database of ACTUNE_DB */
    actune_context *untuned; /* no database: every kernel's default */
} gpu_ours;

actune_status gpu_ours_open(gpu_ours *ours);
void gpu_ours_close(gpu_ours *ours);

/* Places of a row's tensors in a set. Of plain kernels: 0 is written, 1 and 2 are read. */
enum { GPU_TO_Y = 0, GPU_FROM_X = 1, GPU_FROM_OTHER = 2, GPU_FROM_DY = 2 };

/* How the ports of a plan are laid on a set: element-shaped ones to tensors of the set, the others (one value a channel) to memory of their own. */
typedef struct gpu_ports {
    int count;
    int64_t elements; /* of x */
    size_t element_bytes;
    int64_t moved_bytes; /* algorithmic */
    int tensors;         /* that a set needs */
    struct {
        int tensor; /* -1: not element-shaped */
        actune_dtype dtype;
        int64_t count;
        size_t bytes;
    } port[GPU_TENSORS_MAX];
} gpu_ports;

actune_status gpu_ports_of(const gpu_row *row, const gpu_ours *ours, gpu_ports *ports);

/* Adds the row's plan from `context`. The row's values per channel are made here and freed with the arm. */
actune_status gpu_ours_add(gpu_bench *bench, gpu_race *race, const char *name, actune_context *context, const gpu_row *row,
                           const gpu_ports *ports);

/* "[accuracy=fast] gelu" is gelu to a library that has one of each. */
const char *gpu_bare_spec(const char *spec);

actune_status gpu_ours_plan(actune_context *context, const gpu_row *row, actune_plan **plan);

#endif
