/* Instruction sets that CPU code is generated for, and which one this machine has. */
#ifndef AT_BASE_ISA_H
#define AT_BASE_ISA_H

#include <stdbool.h>

typedef enum at_isa { AT_ISA_GENERIC, AT_ISA_X86_V2, AT_ISA_X86_V3, AT_ISA_X86_V4, AT_ISA_NEON } at_isa;

const char *at_isa_name(at_isa isa); /* "generic", "x86-64-v2", "x86-64-v3", "x86-64-v4", "neon" */
bool at_isa_find(const char *name, at_isa *isa);
/* Code for `isa` runs on a machine whose level is `host`. */
bool at_isa_runs_on(at_isa isa, at_isa host);
/* What this machine has, lowered to the level that `limit` names; NULL and what is no level of this machine: not lowered. */
at_isa at_isa_limited(const char *limit);
/* The same with ACTUNE_ISA as the limit. */
at_isa at_isa_host(void);

#endif
