/* Is there a GPU to measure on? Asked first, of the driver and NVRTC alone: no context is made. */
#ifndef AT_BENCH_GPU_FIND_H
#define AT_BENCH_GPU_FIND_H

#include "runtime/backend/cuda_device.h"

enum { GPU_SKIPPED = 77 };

/* 0: there is, with its description in `info`. GPU_SKIPPED: no driver (the toolkit's stub is none), no device, or no NVRTC; 1: there is one and
   it does not work. Says which on stderr. */
int gpu_find(const char *program, at_cuda_info *info);

#endif
