/* Kernels of one 8-bit tensor to another as a table of 256 codes: whatever the pipeline computes, one look-up does it. */
#ifndef AT_CODEGEN_CODE_TABLE_H
#define AT_CODEGEN_CODE_TABLE_H

#include "kernel.h"

/* Whether y is a function of x's code alone: both of 8 bits, no operands, no reductions. */
bool at_kernel_maps_codes(const at_kernel *kernel);
/* table[code of x] = code of y, from the graph (before approximation) in long double, each stage rounded to f32 and the last by the store; constants
   are f32 numbers, as every kernel has them. UNSUPPORTED where y is no such function, NO_MEMORY. */
actune_status at_code_table(const at_kernel *kernel, unsigned char table[256]);

#endif
