/* The block interpreter: runs a kernel's graph where nothing can be compiled; the portable floor. */
#ifndef AT_BACKEND_INTERP_H
#define AT_BACKEND_INTERP_H

#include "../../codegen/kernel.h"
#include "../base/kernel_abi.h"

/* A graph with more nodes is refused when the plan is made. */
enum { AT_INTERPRET_NODES_MAX = 16384 };

/* Runs a slice of `kernel` (an at_kernel before approximation) by the rules of kernel_abi.h (same slices, chunks and
   partials as compiled kernels; not the same bits). Computes in double with libm, rounds to the compute type at ROUND
   nodes and to the port's type at stores. Thread-safe; allocates nothing; uses about 130 KiB of stack. */
void at_interpret(const void *kernel, at_layout layout, const actune_slice *slice);

#endif
