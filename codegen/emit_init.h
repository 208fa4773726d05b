/* The source of the kernels that initialise weights. */
#ifndef AT_CODEGEN_EMIT_INIT_H
#define AT_CODEGEN_EMIT_INIT_H

#include "variant.h"

enum { AT_INIT_BLOCK = 256, AT_INIT_PER_BLOCK = 2 * AT_INIT_BLOCK }; /* threads; elements that they make in one step */

/* What a CPU kernel finds behind port 1 (templates/cpu/init.c.in repeats it); port 0 is the tensor. Slices begin at multiples of 2. */
typedef struct at_init_draw {
    uint64_t seed, offset, normal; /* normal 0: uniform in [-scale, scale), else normal of deviation scale */
    double scale;
} at_init_draw;

/* Appends one translation unit with one kernel, "actune_init". CUDA: its arguments are the tensor's pointer and, as long long, n, seed, offset,
   normal and scale's bits; blocks of AT_INIT_BLOCK threads, any grid. */
actune_status at_emit_init(actune_dtype dtype, const at_target *target, at_strbuf *source);

#endif
