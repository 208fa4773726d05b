/* The machine's own ceilings: copy, read, write, two reads and one write, three reads and two writes, by plain kernels of several shapes and by
   cuMemcpyDtoD, as graphs under device events. Warm (one set) where it fits half of the L2 cache, cold (the sets are at least 5 times the L2 cache) from 1 MB on.

   gpu_ceilings [--sizes 16K,1M,...] [--rounds N]     bytes of one tensor; JSON Lines on standard output */
#include "options.h"
#include "plain.h"

#include <stdio.h>

/* Below, a cold graph would have thousands of nodes. */
static const int64_t COLD_FROM_BYTES = 1 << 20;

static actune_status race_one(gpu_bench *bench, gpu_move move, int64_t bytes, bool cold)
{
    size_t tensor_bytes[GPU_TENSORS_MAX];
    gpu_race race = {.row = gpu_move_name(move), .regime = cold ? "cold" : "warm", .elements = bytes};
    gpu_sets sets;
    for (int t = 0; t < gpu_move_tensors(move); t++)
        tensor_bytes[t] = (size_t)bytes;
    if (!gpu_sets_fit(bench, tensor_bytes, gpu_move_tensors(move), cold)) {
        gpu_race_miss(bench, &race, "all", actune_last_error());
        return ACTUNE_OK;
    }
    AT_TRY(gpu_sets_make(bench, tensor_bytes, gpu_move_tensors(move), cold, &sets));
    actune_status status = move == GPU_COPY ? gpu_memcpy_add(bench, &race, GPU_TO, GPU_FROM, bytes) : ACTUNE_OK;
    for (int s = 0; s < gpu_plain_shapes(bench) && status == ACTUNE_OK; s++) {
        status = gpu_plain_add(bench, &race, move, s, bytes);
        if (status == ACTUNE_OK && move == GPU_WRITE)
            gpu_plain_tensors(&race.arm[race.arms - 1], GPU_TO, GPU_TO);
    }
    if (status == ACTUNE_OK)
        status = gpu_race_run(bench, &race, &sets);
    gpu_race_close(&race);
    gpu_sets_free(bench, &sets);
    return status;
}

static actune_status race_sizes(gpu_bench *bench, const gpu_options *options)
{
    for (int i = 0; i < options->sizes; i++)
        for (gpu_move move = 0; move < GPU_MOVES; move++) {
            int64_t bytes = options->size[i] / 16 * 16;
            if (bytes * gpu_move_tensors(move) <= bench->l2_bytes / 2)
                AT_TRY(race_one(bench, move, bytes, false));
            if (bytes >= COLD_FROM_BYTES || bench->tiny)
                AT_TRY(race_one(bench, move, bytes, true));
        }
    return ACTUNE_OK;
}

int main(int argc, char **argv)
{
    /* The large ones first: they are what the goals are measured against. */
    static const int64_t usual[] = {1 << 30, 256 << 20, 64 << 20, 16 << 20, 4 << 20, 1 << 20, 256 << 10, 64 << 10, 16 << 10};
    static const int64_t tiny[] = {256, 4096};
    gpu_options options;
    gpu_bench bench;
    gpu_options_read(argc, argv, "gpu_ceilings [--sizes N,N] [--rounds N]", &options);
    int exit_status = gpu_open("ceilings", &bench);
    if (exit_status != 0)
        return exit_status;
    gpu_options_apply(&options, &bench);
    if (options.sizes == 0)
        gpu_options_sizes(&options, bench.tiny ? tiny : usual, bench.tiny ? 2 : 9);
    return gpu_finish(&bench, race_sizes(&bench, &options));
}
