/* actune verify of pipelines that are several passes: the whole, as a program runs it. */
#ifndef AT_CLI_VERIFY_PASSES_H
#define AT_CLI_VERIFY_PASSES_H

#include "request.h"
#include "tuner/verify.h"

/* Runs plans (of no database: default variants) of `kernel`, lowered from `request`, on every case of its reference in `layout`. */
actune_status cli_verify_passes(const cli_request *request, const at_kernel *kernel, at_layout layout, at_verify_report *report);

#endif
