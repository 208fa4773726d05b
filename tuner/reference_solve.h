/* The exact outputs of a case. Part of reference.c. */
#ifndef AT_TUNER_REFERENCE_SOLVE_H
#define AT_TUNER_REFERENCE_SOLVE_H

#include "reference.h"

/* Fills want, allowed and indefinite from the inputs. `oracle`: the kernel's, NULL for one of several passes (each pass has its own then, and the
   numbers that passes hand on are exact ones with the error that a kernel's may have). NO_MEMORY, UNSUPPORTED. */
actune_status at_reference_solve(at_arena *arena, const at_kernel *kernel, at_oracle *oracle, at_case *made);

#endif
