/* Shared by the files that make a variant's source: generate.c, space.c, fragment.c. */
#ifndef AT_CODEGEN_GENERATE_H
#define AT_CODEGEN_GENERATE_H

#include "template.h"
#include "variant.h"

/* What $require lines and templates know of kernel, layout and target: isa, x86, vector_bytes (of the widest register),
   T ("f32"), element_bytes, layout, transcendental, sums. Names and texts are static. */
void at_scope_kernel(at_scope *scope, const at_kernel *kernel, at_layout layout, const at_target *target);
/* The knobs of a variant, and what follows from `width`: lanes. */
void at_scope_variant(at_scope *scope, const at_variant *variant, const at_kernel *kernel);

/* A copy of `kernel` with the math of `variant` put in (pass_approximate); clear it with at_kernel_clear. UNSUPPORTED
   where that math does not reach the kernel's accuracy. */
actune_status at_kernel_approximated(const at_kernel *kernel, const at_variant *variant, at_kernel *copy);

#endif
