/* The peers of a comparison. Each adds its arms for a row, or none where it has nothing like it; why not is in `why`. */
#ifndef AT_BENCH_GPU_PEERS_H
#define AT_BENCH_GPU_PEERS_H

#include "ours.h"

typedef struct gpu_why {
    char text[256];
} gpu_why;

/* cuDNN: legacy activation, and a graph of one pointwise operation (every plan that its heuristics offer). It keeps a handle until the close. */
void gpu_cudnn_add(gpu_bench *bench, gpu_race *race, const gpu_row *row, const gpu_ports *ports, gpu_why *why);
void gpu_cudnn_close(gpu_bench *bench);
/* cub::DeviceTransform, from the shared object that ACTUNE_PEER_CUB names (peer_cub.cu). */
void gpu_cub_add(gpu_bench *bench, gpu_race *race, const gpu_row *row, const gpu_ports *ports, gpu_why *why);

#endif
