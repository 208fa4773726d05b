/* What is known of CUDA variants before any of them runs: compile, read the cubin, compute how much of an SM it fills, and drop what cannot
   win. Needs NVRTC, no GPU and no driver. */
#ifndef AT_TUNER_CUDA_STATIC_H
#define AT_TUNER_CUDA_STATIC_H

#include "../codegen/emit_cuda.h"

typedef struct at_cuda_static {
    actune_status status; /* UNSUPPORTED: no text for this kernel; COMPILE */
    at_cuda_geometry geometry;
    at_hash code_hash;    /* of the machine code: variants of equal code and launch are one */
    size_t code_bytes;
    int registers, spill_bytes, shared_bytes; /* -1 unknown */
    int resident_blocks;  /* on one SM */
    double occupancy;     /* resident threads of those that fit an SM */
    int64_t flight_bytes; /* that an SM's resident blocks have under way at once */
    int twin;             /* index of the entry before it with the same code and launch; -1 */
    const char *dropped;  /* why it need not be measured, static text; NULL: it should be */
} at_cuda_static;

/* Generates, compiles and reads one variant. Failures of the variant itself are in `out->status` (and dropped); returned are DEVICE (no
   NVRTC) and NO_MEMORY. Any thread: a tuner calls it from its pool. */
actune_status at_cuda_static_read(const at_kernel *kernel, at_layout layout, const at_target *target, const at_variant *variant,
                                  at_cuda_static *out);

/* Fills `twin` and `dropped` of `count` entries: those that failed, that fit no SM, twins, those that spill where others do not, and those
   that have less than half of `wanted_flight_bytes` under way on an SM where others have more (0: not asked). At least one entry that
   compiled stays. */
void at_cuda_static_drop(at_cuda_static *entries, int count, int64_t wanted_flight_bytes);

/* Bytes an SM must have under way to fill its share of memory bandwidth (Little's law), from GB/s of the device, its SMs and the latency of
   a load from device memory. */
int64_t at_cuda_wanted_flight(double bandwidth_gbps, int sms, double latency_ns);

#endif
