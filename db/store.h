/* The tuning database: the only user of sqlite3. One handle is used by one thread at a time; many processes may share a file. */
#ifndef AT_DB_STORE_H
#define AT_DB_STORE_H

#include "../runtime/base/status.h"
#include "../runtime/base/table.h"
#include <stdint.h>

typedef struct at_store at_store;

typedef enum at_store_mode { AT_STORE_READ, AT_STORE_WRITE } at_store_mode;

/* path NULL: ACTUNE_DB, else $XDG_DATA_HOME/actune/actune.db, else ~/.local/share/actune/actune.db (folders made 0700 in WRITE).
   READ of a missing file gives *store = NULL and ACTUNE_OK (an empty database). DATABASE, file untouched, when it is corrupt, no
   actune database, or of a newer schema. */
actune_status at_store_open(const char *path, at_store_mode mode, at_store **store);
void at_store_close(at_store *store);
const char *at_store_path(const at_store *store);
int64_t at_store_default_path(char *path, int64_t capacity); /* length, or -1 */

typedef struct at_store_device {
    const char *id, *kind, *model, *capability;
    int64_t processors, l1d_bytes, l2_bytes, l3_bytes;
} at_store_device;

typedef struct at_store_kernel {
    const char *hash, *spec, *direction, *dtype_in, *dtype_out, *accuracy;
} at_store_kernel;

/* Where a measurement holds. regime "warm" or "cold". */
typedef struct at_store_workload {
    const char *layout;     /* "flat", "channel_inner", "channel_outer" */
    int size_bucket;        /* log2 of elements */
    int channel_bucket, inner_bucket; /* log2; 0 when flat */
    bool in_place;
    const char *regime;
} at_store_workload;

/* The workload that dispatch looks up by `key` (at_table_key_of): what is stored under it is found. */
at_store_workload at_store_workload_of(const at_table_key *key, const char *regime);

typedef struct at_store_session {
    const char *device, *environment; /* environment: compiler, kernel, actune version, one JSON text */
    const char *protocol;             /* JSON */
    int64_t seed;
} at_store_session;

typedef struct at_store_variant {
    const char *kernel;      /* hash */
    const char *source_hash; /* of the generated source */
    const char *text;        /* at_variant_print */
} at_store_variant;

typedef struct at_store_build {
    int64_t variant;
    const char *toolchain, *arch;
    bool ok;
    double compile_ms;
    int64_t code_bytes;
    int registers, spill_bytes; /* -1: not told (a CPU's compiler) */
    const char *log;            /* "" or NULL when all is well */
} at_store_build;

typedef struct at_store_measurement {
    int64_t variant, session;
    at_store_workload workload;
    double median_ns, low_ns, high_ns; /* of one execution; bootstrap 95 % interval of the median */
    double ratio_to_copy;              /* paired median, copy of the same bytes = 1; smaller is faster */
    const double *samples_ns;
    int samples;
} at_store_measurement;

typedef struct at_store_verification {
    int64_t variant;
    bool passed;
    double max_error_ulp, max_error_absolute;
    const char *method; /* "sampled" or "exhaustive" */
    const char *detail; /* why it failed, "" otherwise */
} at_store_verification;

typedef struct at_store_choice {
    const char *device, *kernel;
    at_store_workload workload;
    int64_t variant, session;
    const char *variant_text, *source_hash; /* filled by reads */
    double median_ns, ratio_to_copy, gain_over_default, pct_roof;
    double margin;       /* how far the best outside of the tie set was behind, 0.05: 5 %; NaN when written: there was none */
    const char *tie_set; /* variants within 2 % or overlapping, one a line */
    const char *origin;  /* "measured", "merged" */
    int64_t ours;        /* where another library's function has won: the best variant of ours; 0 when written: the winner is ours */
    const char *ours_text, *ours_hash; /* filled by reads; "": the winner is ours */
} at_store_choice;

/* One arm of a race that is under way; sample i of all arms was taken in round i. */
typedef struct at_store_progress {
    const char *arm, *source_hash;
    bool stored; /* the race is over, its measurements are stored */
    const double *samples_ns;
    int samples;
} at_store_progress;

/* A plan that some program made in the tuning mode `record` and that had no winner of its size. */
typedef struct at_store_request {
    const char *device, *spec; /* canonical */
    const char *direction, *dtype_in, *dtype_out;
    const char *gradients; /* names with a comma between them, "" for none */
    actune_shape shape;
    bool in_place;
    int64_t asked; /* filled by reads: how often */
} at_store_request;

/* Which race: stage "core" or "size"; conditions: a hash of all that samples must have in common to be mixed. */
typedef struct at_store_race {
    const char *device, *kernel, *stage, *conditions;
    at_store_workload workload;
} at_store_race;

/* Writers insert or find (equal rows once) in BEGIN IMMEDIATE transactions; ids come back. */
actune_status at_store_put_device(at_store *store, const at_store_device *device);
actune_status at_store_put_kernel(at_store *store, const at_store_kernel *kernel);
actune_status at_store_put_session(at_store *store, const at_store_session *session, int64_t *id);
actune_status at_store_put_variant(at_store *store, const at_store_variant *variant, int64_t *id);
actune_status at_store_put_build(at_store *store, const at_store_build *build);
actune_status at_store_put_measurement(at_store *store, const at_store_measurement *measurement);
actune_status at_store_put_verification(at_store *store, const at_store_verification *verification);
actune_status at_store_put_choice(at_store *store, const at_store_choice *choice);
/* All arms of a race, in place of what was there. */
actune_status at_store_put_progress(at_store *store, const at_store_race *race, const at_store_progress *arms, int count);
/* Every arm of a kernel's races in one stage and layout, or (workload given) of one race; whatever the conditions. */
actune_status at_store_drop_progress(at_store *store, const char *device, const char *kernel, const char *stage, const char *layout,
                                     const at_store_workload *workload);
/* Writes it down, or counts it once more; takes it out (it may be gone already). */
actune_status at_store_put_request(at_store *store, const at_store_request *request);
actune_status at_store_drop_request(at_store *store, const at_store_request *request);
/* One transaction around several puts. */
actune_status at_store_begin(at_store *store);
actune_status at_store_commit(at_store *store);
void at_store_rollback(at_store *store);

/* Reads: `visit` per row, texts valid during the call; a non-OK return ends the walk and is returned. NULL filters: all. A NULL
   store is an empty database; a number that was not finite when written reads as 0. `visit` may call any function of the store. */
actune_status at_store_each_choice(at_store *store, const char *device, const char *kernel,
                                   actune_status (*visit)(void *user, const at_store_choice *choice), void *user);
actune_status at_store_each_kernel(at_store *store, const char *spec, actune_status (*visit)(void *user, const at_store_kernel *kernel), void *user);
actune_status at_store_each_measurement(at_store *store, const char *device, const char *kernel, const at_store_workload *workload,
                                        actune_status (*visit)(void *user, const char *variant_text, const at_store_measurement *measurement), void *user);
actune_status at_store_each_build(at_store *store, const char *kernel,
                                  actune_status (*visit)(void *user, const char *variant_text, const at_store_build *build), void *user);
/* Runs of the tuner, with the environment that each measured in; started: seconds since 1970. */
actune_status at_store_each_session(at_store *store, actune_status (*visit)(void *user, int64_t id, int64_t started, const at_store_session *session),
                                    void *user);
actune_status at_store_each_verification(at_store *store, const char *kernel,
                                         actune_status (*visit)(void *user, const char *variant_text, const at_store_verification *verification),
                                         void *user);
actune_status at_store_each_progress(at_store *store, const at_store_race *race,
                                     actune_status (*visit)(void *user, const at_store_progress *arm), void *user);
/* Whether any race of the kernel in this stage and layout has stored arms under these conditions (race->workload: the layout alone). */
actune_status at_store_has_progress(at_store *store, const at_store_race *race, bool *has);
actune_status at_store_each_request(at_store *store, const char *device, actune_status (*visit)(void *user, const at_store_request *request),
                                    void *user);
actune_status at_store_each_device(at_store *store, actune_status (*visit)(void *user, const at_store_device *device), void *user);
/* Of this source, whichever variant it was found with: the latest, but an exhaustive one counts on until a later one fails; NOT_FOUND when there is none. Texts are valid until the next call. */
actune_status at_store_find_verification(at_store *store, const char *source_hash, at_store_verification *verification);
/* Integrity: sqlite's own check, foreign keys, our invariants. `report` gets one line a finding; DATABASE when there is any. */
actune_status at_store_check(at_store *store, actune_status (*report)(void *user, const char *line), void *user);

/* One tuning process a device at a time: a lock file beside the cache; waits up to `seconds`. BUSY names the holder's pid. */
typedef struct at_device_lock at_device_lock;
actune_status at_device_lock_take(const char *device, double seconds, at_device_lock **lock);
void at_device_lock_release(at_device_lock *lock);

#endif
