/* actune doctor --stats: what a training run's statistics say, and what to change. */
#ifndef AT_CLI_STATS_ADVICE_H
#define AT_CLI_STATS_ADVICE_H

#include <stdbool.h>

/* Exit status: 0, 1 when values are not finite or the file cannot be read. */
int cli_stats_advise(const char *path, bool as_json);

#endif
