/* Inside of the spec parser, shared by spec.c and its parts. */
#ifndef AT_CODEGEN_SPEC_PARSE_H
#define AT_CODEGEN_SPEC_PARSE_H

#include "spec_scan.h"
#include "stages.h"

/* "(1, beta=learn)" or nothing, after a stage's name: fills stage->argument, one for each parameter, in their order.
   `at` is where the stage's name stands, `name` what to call it. */
actune_status at_spec_parse_arguments(at_scan *scan, size_t at, const char *name, const at_stage_form *form,
                                      at_stage *stage);

/* "@file.c:function", the scan standing on the '@': takes the caller's text of that name, or reads the file, and turns the function into stage->activation. */
actune_status at_spec_parse_user(at_scan *scan, at_arena *arena, at_stage *stage);

/* "[accuracy=fast, ...]" at the front, if any. */
actune_status at_spec_parse_attributes(at_scan *scan, at_spec *spec);

/* spec_output.c: refuses what [from=output] cannot serve, at its stage. SYNTAX, NO_MEMORY. */
actune_status at_spec_check_output(const at_scan *scan, const at_spec *spec);

/* spec_gated.c: takes the name of a gated unit and appends its stages; *taken false, and nothing is taken, where none stands here. */
actune_status at_spec_take_gated_unit(at_scan *scan, at_spec *spec, bool *taken);
/* `halves` stands first and a later `mul` takes the half that is left over, which this marks. SYNTAX. */
actune_status at_spec_check_halves(const at_scan *scan, at_spec *spec);

/* Writes the canonical text of all stages and attributes. */
void at_spec_print(const at_spec *spec, at_strbuf *out);

#endif
