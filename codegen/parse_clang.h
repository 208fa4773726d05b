/* C function -> activation, through libclang (loaded with dlopen; the only user of it). */
#ifndef AT_CODEGEN_PARSE_CLANG_H
#define AT_CODEGEN_PARSE_CLANG_H

#include "activation.h"

/* Turns function `function` of the C text `source` (shown as `path` in messages) into an activation owned by `arena` (its graph
   too: clear it with at_graph_clear). Parameters: the first is x, the others named constants; a default is given by a comment of
   the form "actune: alpha = 0.01" above the function. Nothing but `source` is read and nothing is executed.
   Errors: UNSUPPORTED or SYNTAX with path:line:column for everything that is no pure scalar function of floats; NOT_FOUND when
   there is no such function (its near names in the message); DEVICE-independent; NO_COMPILER when libclang cannot be loaded
   (message: what to install). Calls are serialised by a lock inside. */
actune_status at_parse_c(const char *path, const char *source, const char *function, at_arena *arena, at_activation *activation);

/* The same for every function of a definition file: templates/activations. `visit` is called once a non-static function. */
actune_status at_parse_c_file(const char *path, const char *source, at_arena *arena,
                              actune_status (*visit)(void *user, const at_activation *activation), void *user);

/* "14.0.6" of the libclang in use, "" when there is none. */
const char *at_parse_c_version(void);

#endif
