/* Verification on a GPU: the ports of a case go to device memory, the kernel runs there, the outputs come back. */
#ifndef AT_TUNER_VERIFY_CUDA_H
#define AT_TUNER_VERIFY_CUDA_H

#include "../codegen/emit_cuda.h"
#include "../runtime/backend/cuda_module.h"
#include "verify.h"

/* A kernel that is built. */
typedef struct at_cuda_trial {
    const at_cuda_kernel *built;
    const at_cuda_geometry *geometry;
    const at_kernel *kernel;
    at_layout layout;
} at_cuda_trial;

/* For at_verify_target.run: `user` is an at_cuda_trial. Canaries travel along, so that a write beside a port is seen without compute-sanitizer. */
actune_status at_cuda_trial_run(void *user, actune_shape shape, void *const *port);

/* One kernel in one layout, of which variants are to be verified: `actune verify --device cuda:0`. All that is pointed to must outlive it. */
typedef struct at_cuda_verifier {
    const at_cuda_device *device;
    at_cache *cache;
    const at_target *target;
    const at_kernel *kernel;
    at_layout layout;
    at_reference reference; /* filled by init */
} at_cuda_verifier;

/* Computes the exact outputs (about 0.1 s). NO_MEMORY and errors of the reference; clear it in any case. */
actune_status at_cuda_verifier_init(at_cuda_verifier *verifier);
void at_cuda_verifier_clear(at_cuda_verifier *verifier);
/* Generates, builds and judges one variant, in place too where its text admits that. UNSUPPORTED: this form of the math does not reach the
   class; DEVICE, COMPILE, NO_MEMORY. */
actune_status at_cuda_verify(const at_cuda_verifier *verifier, const at_variant *variant, at_verify_report *report);

#endif
