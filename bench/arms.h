/* Peers: arms that at_compare takes beside our own. */
#ifndef AT_BENCH_ARMS_H
#define AT_BENCH_ARMS_H

#include "tuner/measure.h"

/* f32 forward of `op` on n elements, one thread. False when it cannot run here (no library, op unknown to it). Close with
   bench_onednn_close(arm->self). */
bool bench_onednn(const char *op, int64_t n, at_arm *arm);
void bench_onednn_close(void *self);

#endif
