/* Plain kernels that only move bytes: what the machine can do, and what ours are measured against. */
#ifndef AT_BENCH_GPU_PLAIN_H
#define AT_BENCH_GPU_PLAIN_H

#include "race.h"

typedef enum gpu_move { GPU_COPY, GPU_READ, GPU_WRITE, GPU_ADD, GPU_ADD_TWICE, GPU_MOVES } gpu_move;

/* Tensors of a set: 0 is written, 1 is read, 2 is read too by GPU_ADD; GPU_ADD_TWICE reads 1 to 3 and writes 0 and 4. */
enum { GPU_TO, GPU_FROM, GPU_OTHER, GPU_THIRD, GPU_TO_TOO };

const char *gpu_move_name(gpu_move move); /* "copy", "read", "write", "2 reads 1 write", "3 reads 2 writes" */
int gpu_move_tensors(gpu_move move);      /* that a set needs */
int gpu_move_count(gpu_move move);        /* tensors moved, each once */

int gpu_plain_shapes(const gpu_bench *bench);
/* Adds the plain kernel of shape `shape` for tensors of `bytes` bytes (a multiple of 16) to the race. `to`, `from`: which tensors of a set. */
actune_status gpu_plain_add(gpu_bench *bench, gpu_race *race, gpu_move move, int shape, int64_t bytes);
/* A kernel that does nothing: what a node costs by itself. */
actune_status gpu_empty_add(gpu_bench *bench, gpu_race *race);
/* Which tensors an arm that was added takes; GPU_TO, GPU_FROM, GPU_OTHER until then. */
void gpu_plain_tensors(gpu_arm *arm, int to, int from);
/* cuMemcpyDtoD of `bytes` from tensor `from` to tensor `to`. */
actune_status gpu_memcpy_add(gpu_bench *bench, gpu_race *race, int to, int from, int64_t bytes);

#endif
