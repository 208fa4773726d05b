/* The tuner: space -> static pruning -> compile -> verify -> interleaved rounds -> winner -> database. */
#ifndef AT_TUNER_TUNE_H
#define AT_TUNER_TUNE_H

#include "../db/store.h"
#include "../runtime/backend/cpu.h"
#include "../runtime/device.h"
#include "../runtime/launch.h"

typedef struct at_tune_item {
    const at_kernel *kernel;
    actune_shape shape;
    bool in_place;
} at_tune_item;

typedef struct at_tune_progress {
    const char *kernel_spec;
    const char *step; /* "compile", "verify", "measure" */
    int done, total;  /* work units of the whole run */
    double elapsed_s, eta_s;
} at_tune_progress;

typedef struct at_tune_options {
    const char *strategy; /* "exhaustive" or "random"; NULL: exhaustive in two stages */
    double budget_s; /* of the whole run; 0: 25 per kernel and layout; the best so far is stored when it is spent */
    int64_t seed;
    int max_threads; /* 0: all */
    double save_every_s; /* what a race has measured is stored this often; 0: every second */
    double lock_wait_s; /* another process measures on the device: wait this long; 0: 600 */
    bool force;      /* measure again though the database has the answer */
    void (*progress)(void *user, const at_tune_progress *progress);
    const volatile int *stop; /* non-zero: finish the round, store, return INTERRUPTED */
    void *user;
} at_tune_options;

typedef struct at_tune_result {
    at_store_workload workload;
    char variant[512];
    double winner_ns, autovec_ns;   /* medians of the same rounds; autovec 0 when not measured */
    double default_ns, copy_ns;     /* the winner's times the median ratio of pairs */
    double gain_low, gain_high;                        /* 95 % interval of default/winner */
    bool reused;                                       /* the database had it already */
    int candidates, failed, identical;
    actune_status status; /* of this item */
    char message[256];
} at_tune_result;

/* Tunes every item (grouped by kernel), results[i] for items[i]. One measuring process a device (lock). Everything
   measured is in the database when it returns, however it returns. */
actune_status at_tune(at_store *store, at_cache *cache, const at_device *device, const at_tune_item *items, int count,
                      const at_tune_options *options, at_tune_result *results);

#endif
