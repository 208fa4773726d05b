/* What a tuning run says at its end. */
#ifndef AT_CLI_TUNE_REPORT_H
#define AT_CLI_TUNE_REPORT_H

#include "tuner/tune.h"
#include "workload.h"

/* Drops the rows that the filters leave out (NULL, NONE, both directions false or batch 0: no filter) and numbers the items anew. */
void workload_keep(workload *w, const actune_dtype *dtype, cli_tensor_layout layout, bool forward, bool backward, int64_t batch);

/* Prints the winners, what failed, what was skipped and, for a workload, the time of one pass of each network; gives the exit status. */
int tune_report(const at_tune_item *items, const at_tune_result *results, int count, const workload *work, bool json);

#endif
