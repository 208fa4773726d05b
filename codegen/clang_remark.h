/* What comments say about a function: "actune: alpha = 0.01", "actune: alias swish", "actune: name tanh",
   "actune: gradient of relu from its output", "formula: ...". */
#ifndef AT_CODEGEN_CLANG_REMARK_H
#define AT_CODEGEN_CLANG_REMARK_H

#include "activation.h"
#include "clang_source.h"

/* Takes over the remarks in [begin, end) of the user's text. `activation` has its parameters already; texts go to
 * `arena`. */
actune_status at_remarks_apply(const at_source *source, uint32_t begin, uint32_t end, at_arena *arena,
                               at_activation *activation);

#endif
