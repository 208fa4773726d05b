/* What programs asked for in the tuning mode `record`: the rows that `actune tune --recorded` tunes and then takes out. */
#ifndef AT_CLI_RECORDED_H
#define AT_CLI_RECORDED_H

#include "db/store.h"
#include "request.h"
#include "runtime/base/arena.h"

typedef struct recorded_row {
    at_store_request request; /* texts in the arena */
    cli_request kernel;       /* what to lower */
    bool backward;
    char *skipped; /* why it cannot be tuned (its file is gone ...), NULL */
    int item;      /* which of the run's items it became, -1; of several passes the first */
    int items;
} recorded_row;

typedef struct recorded {
    at_arena arena;
    recorded_row *row;
    int rows, capacity;
} recorded;

/* The device's rows. Clear in any case. */
actune_status recorded_read(const char *database, const char *device, recorded *out);
/* Takes a row out of the database; one that was asked for again meanwhile is asked for again by its program. */
actune_status recorded_drop(const char *database, const recorded_row *row);
void recorded_clear(recorded *r);

#endif
