/* What a comparison on a GPU runs: the default, the stored winner, cuDNN's functions for the same kernel. Used by compare.c alone. */
#ifndef AT_TUNER_COMPARE_CUDA_H
#define AT_TUNER_COMPARE_CUDA_H

#include "../runtime/dispatch.h"
#include "session.h"

/* What all comparisons of a run share on a GPU. */
typedef struct at_cuda_comparer {
    at_session session; /* equipped, without a database */
    at_tune_options options;
} at_cuda_comparer;

/* DEVICE, NO_MEMORY, IO. */
actune_status at_cuda_comparer_open(at_cache *cache, const at_device *device, int threads, at_cuda_comparer **comparer);
void at_cuda_comparer_close(at_cuda_comparer *comparer); /* NULL is a no-op */

/* Of one kernel in one layout. */
typedef struct at_cuda_rivals {
    at_group group;
    const at_code *plain, *tuned;
    const at_code *cudnn, *cudnn_graph; /* NULL: cuDNN has no such function, or there is no cuDNN */
    const char *tier;                   /* of `tuned`; "default" where nothing fits */
} at_cuda_rivals;

/* Builds them; the caller has filled session, kernel and layout of the group. `candidates`: what dispatch found, the best first. COMPILE when the default cannot be built, DEVICE, NO_MEMORY. Clear it in any
   case. */
actune_status at_cuda_rivals_init(at_cuda_rivals *rivals, const at_dispatched *candidates, int count);
void at_cuda_rivals_clear(at_cuda_rivals *rivals);

#endif
