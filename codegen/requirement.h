/* What a definition asks of its parameters: "min_val <= max_val; alpha > 0", from `actune: require` remarks. */
#ifndef AT_CODEGEN_REQUIREMENT_H
#define AT_CODEGEN_REQUIREMENT_H

#include "spec.h"

/* Whether every clause is NAME, one of <= < >= >, then NAME or a number, of parameters of `activation`. SYNTAX says which is not. */
actune_status at_requirements_check(const at_activation *activation, const char *requirements);

/* The first clause of the activation's that the arguments break, printed into `out`, and in *bad the argument to point at. False when
   all hold. A learned parameter has no value yet: clauses with one are skipped. */
bool at_requirements_broken(const at_stage *stage, int *bad, at_strbuf *out);

#endif
