/* Clocks and throttle reasons through NVML, loaded with dlopen. Reads only; where NVML is missing every answer is "unknown". */
#ifndef AT_BENCH_GPU_CLOCKS_H
#define AT_BENCH_GPU_CLOCKS_H

#include <stdbool.h>

typedef struct gpu_clocks {
    void *library, *device; /* NULL: no NVML */
    int (*clock)(void *device, int kind, unsigned *mhz);
    int (*reasons)(void *device, unsigned long long *bits);
    int (*shut)(void);
} gpu_clocks;

typedef struct gpu_state {
    int sm_mhz, memory_mhz;       /* 0 unknown */
    unsigned long long throttled; /* NVML's bits of reasons that slow a running kernel down; 0 none or unknown */
} gpu_state;

void gpu_clocks_open(gpu_clocks *clocks);
void gpu_clocks_close(gpu_clocks *clocks);
gpu_state gpu_clocks_read(const gpu_clocks *clocks);
/* "power cap, thermal" in a static buffer; "" for 0. */
const char *gpu_throttle_text(unsigned long long throttled);

#endif
