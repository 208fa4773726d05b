/* A plan whose winner is a function of cuDNN. Beside it the plan has a kernel of our own, which is what runs for every caller that cuDNN was not
   made ready for: making a handle allocates, waits and takes locks, and executing must not. Inside the runtime only. */
#ifndef AT_RUNTIME_PLAN_CUDNN_H
#define AT_RUNTIME_PLAN_CUDNN_H

#include "backend/cuda_caller.h"
#include "cudnn_variant.h"

#include <stdatomic.h>

enum { AT_CUDNN_SLOTS = 16 };

typedef struct at_plan_cudnn {
    at_cudnn_function function;
    at_strbuf variant, title; /* "cudnn/activation version=9.13.1", "cuDNN 9.13.1, activation" */
    const char *tier;
    /* A slot is its caller's for as long as the plan lives; launch NULL: not ready, or failed. */
    _Atomic uintptr_t thread[AT_CUDNN_SLOTS]; /* 0: free */
    _Atomic uint64_t stream[AT_CUDNN_SLOTS];
    at_cudnn_launch *_Atomic launch[AT_CUDNN_SLOTS];
    at_cudnn_launch *owned[AT_CUDNN_SLOTS]; /* failed ones too */
} at_plan_cudnn;

/* A stored winner of cuDNN's: plan->cudnn. NOT_FOUND when it was measured with another cuDNN, DEVICE without one, UNSUPPORTED for the shape. */
actune_status at_plan_take_cudnn(actune_plan *plan, const char *variant, const at_hash *measured, const char *tier);
void at_plan_clear_cudnn(actune_plan *plan);
/* Says in the plan's note what runs besides. */
void at_plan_note_cudnn(actune_plan *plan);

/* Handle, descriptors and a first run on scratch memory, so that cuDNN has loaded its code; waits for the stream. That cuDNN fails is no failure:
   our kernel runs then. INVALID_ARGUMENT while the stream is captured; DEVICE for the stream. */
actune_status at_plan_prewarm_cudnn(const actune_plan *plan, at_cu_stream stream);

/* True: it is on the stream. False: not ready for this caller, not for this memory, or cuDNN failed (and is not asked again by this caller). */
bool at_plan_execute_cudnn(const actune_plan *plan, void *const *ports, at_cu_stream stream);

#endif
