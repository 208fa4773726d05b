/* Which variant to run: the winners of this device, and of its nearest kin, as dispatch tables in memory. */
#ifndef AT_RUNTIME_DISPATCH_H
#define AT_RUNTIME_DISPATCH_H

#include "base/table.h"
#include "device.h"

typedef struct at_dispatch at_dispatch;

/* Reads every winner of the device, of devices of the same model and of those of the same ISA level, then closes the
   database. `database` as at_store_open's path; "" and a file that does not exist give an empty dispatch. Errors:
   DATABASE, IO, NO_MEMORY. */
actune_status at_dispatch_load(const char *database, const at_device *device, at_dispatch **dispatch);
void at_dispatch_free(at_dispatch *dispatch);

typedef struct at_dispatched {
    const char *variant; /* lives as long as the dispatch */
    at_hash source_hash; /* that it was measured with */
    const char *tier;    /* as in actune_plan_info */
} at_dispatched;

enum { AT_CANDIDATES_MAX = 8 };

/* Candidates for a key, best first: exact, nearest size, other layout bucket; then the same of the device's kin; for an in-place key then what
   won out of place, without streaming stores (tier "out of place"). Behind a function of another library comes the best of ours. Equal ones
   once. Returns how many (at most AT_CANDIDATES_MAX). Thread-safe, allocates nothing. */
int at_dispatch_find(const at_dispatch *dispatch, const at_table_key *key, at_dispatched *candidates);

#endif
