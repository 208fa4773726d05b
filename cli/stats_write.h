/* Statistics of a run of `actune apply` as lines of JSON, with the keys of actune_monitor (stats_read.h reads them). */
#ifndef AT_CLI_STATS_WRITE_H
#define AT_CLI_STATS_WRITE_H

#include "command.h"

/* `records`: what the stage stats left, `channels` of them. Replaces the file when all is written. Errors: IO, NO_MEMORY, INVALID_ARGUMENT. */
actune_status cli_stats_write(const char *path, const char *spec, const char *device, const double *records, int64_t channels);

#endif
