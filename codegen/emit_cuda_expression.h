/* Inside of the CUDA emitter. */
#ifndef AT_CODEGEN_EMIT_CUDA_EXPRESSION_H
#define AT_CODEGEN_EMIT_CUDA_EXPRESSION_H

#include "kernel.h"

/* Appends `static __device__ __forceinline__ void evaluate(inputs..., outputs by reference)` in the compute type, arguments named after
   the ports. `fast`: approximate instructions (accuracy class fast). */
actune_status at_emit_cuda_evaluate(const at_kernel *kernel, bool fast, at_strbuf *out);

#endif
