/* NVRTC, loaded with dlopen: CUDA text to PTX or cubin. Needs no GPU and no CUDA headers, at build time or at run time. */
#ifndef AT_BACKEND_NVRTC_H
#define AT_BACKEND_NVRTC_H

#include "../base/status.h"

typedef struct at_nvrtc_output {
    char *code;       /* PTX text or cubin bytes; owned, NUL after the end */
    size_t bytes;
    char *log;        /* what NVRTC and ptxas said; owned */
    int registers;    /* most of any kernel; -1 unknown (PTX) */
    int spill_bytes;  /* stores and loads; -1 unknown */
    int shared_bytes; /* static shared memory; -1 unknown */
} at_nvrtc_output;

/* Compiles `source` (shown as `name` in messages) for compute capability `arch` (90 is sm_90) to a cubin, or to PTX.
   NVRTC is looked for in ACTUNE_NVRTC, the loader's path, the toolkit's folders and Python's nvidia packages.
   Errors: DEVICE (no NVRTC: what to install), UNSUPPORTED (this NVRTC does not know the architecture), COMPILE (its log). Any thread. */
actune_status at_nvrtc_compile(const char *source, const char *name, int arch, bool cubin, at_nvrtc_output *output);
void at_nvrtc_output_clear(at_nvrtc_output *output);

/* "13.0" of the NVRTC in use and the file it came from; DEVICE when there is none. */
actune_status at_nvrtc_version(int *major, int *minor, const char **path);

/* The newest architecture that this NVRTC knows and that is no newer than `arch`; UNSUPPORTED when there is none. */
actune_status at_nvrtc_newest(int arch, int *newest);

#endif
