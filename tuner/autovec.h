/* The baseline: the loop that a person would write for a kernel, with libm calls, left to the compiler's vectoriser.
   Timed beside the variants, never chosen. */
#ifndef AT_TUNER_AUTOVEC_H
#define AT_TUNER_AUTOVEC_H

#include "../codegen/kernel.h"

/* C text without includes that defines `symbol`, of type actune_kernel_fn: it does the whole tensor in one call (an
   AT_ARM_WHOLE), sums included (added in the compute type, in order). Not for in-place runs: its pointers are restrict.
   UNSUPPORTED for stretches. */
actune_status at_autovec_source(const at_kernel *kernel, at_layout layout, const char *symbol, at_strbuf *source);

#endif
