/* Inside of the CUDA emitter. */
#ifndef AT_CODEGEN_EMIT_CUDA_EXPRESSION_H
#define AT_CODEGEN_EMIT_CUDA_EXPRESSION_H

#include "kernel.h"

/* Appends `static __device__ __forceinline__ void FUNCTION(inputs..., outputs by reference)` in the compute type, arguments named after
   the ports. `math`: the knob; "ex2" and "tanh" spell some ops as single approximate instructions. */
actune_status at_emit_cuda_function(const at_kernel *kernel, const char *math, const char *function, at_strbuf *out);

/* The same as a look-up, codes in and out; begin.cu.in fills `table`. */
actune_status at_emit_cuda_table(const at_kernel *kernel, at_strbuf *out);

/* What follows a port's name in CUDA text: nothing for the names of stages, "_operand" for those that a user chose, which might be a local
   variable or a word of the language. Static text. */
const char *at_cuda_suffix(const char *port_name);

#endif
