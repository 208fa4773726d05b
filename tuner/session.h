/* What the steps of a tuning run share. Inside the tuner only. */
#ifndef AT_TUNER_SESSION_H
#define AT_TUNER_SESSION_H

#include "../codegen/emit_cuda.h"
#include "../runtime/backend/cuda_module.h"
#include "../runtime/cudnn_variant.h"
#include "copies.h"
#include "measure.h"
#include "reference.h"
#include "search.h"
#include "tune.h"
#include "verify.h"

enum {
    AT_ANCHORS = 3,
    AT_BATCH = 16 /* variants a translation unit: a compiler's start costs as much as ten more of them */
};

typedef struct at_session at_session;
typedef struct at_group at_group;

/* One generated function. Variants that differ in launch knobs alone share it. */
typedef struct at_code {
    char symbol[32];
    at_hash source_hash, machine_hash;
    at_binary *binary;
    actune_kernel_fn function; /* NULL: not built for a CPU */
    at_cuda_kernel *cuda;      /* NULL: not built for a GPU */
    struct at_cudnn_code *cudnn; /* NULL: not cuDNN's; heap */
    at_cuda_geometry geometry; /* CUDA */
    int registers, spill_bytes; /* -1: not told */
    const char *dropped; /* CUDA: why it need not be measured, static text */
    const at_group *group;
    size_t code_bytes;
    double compile_ms;
    bool absent;   /* the space has it, but not for this kernel: a form that cannot reach the class */
    char *log;     /* why it could not be built or is wrong; NULL when all is well; heap */
    int twin;      /* the code before it with the same machine code; -1 */
    bool verified; /* `report` is filled */
    at_verify_report report;
} at_code;

/* A variant that was asked for. */
typedef struct at_candidate {
    int variant; /* index in the group's space */
    int code;    /* index in the group's codes */
    int threads; /* 0: all the session has */
    bool recorded;
} at_candidate;

/* What tuning does in another way on another kind of device. Everything else is the same. */
typedef struct at_tune_backend {
    bool core_stage;      /* the core knobs are raced on their own, before the sizes */
    const char *anchor;   /* what the copies are that every round is paired with */
    const char *strategy; /* where none was asked for */
    /* Fills toolchain, arch and what measuring needs; called again it does nothing. */
    actune_status (*equip)(at_session *session);
    void (*release)(at_session *session); /* also after a failure of equip, or without it */
    /* Builds the group's codes from `first` on and marks twins and those that cannot win. Stops at `until_ns`; the default (code 0) is always
       made. What is wrong with a code is in its log. */
    actune_status (*build)(at_group *group, int first, double until_ns);
    actune_status (*offer)(at_group *group); /* adds what no template has to the space, behind the default; NULL: there is no such thing */
    void (*verify_target)(const at_group *group, const at_code *code, at_verify_target *target);
} at_tune_backend;

extern const at_tune_backend at_tune_cpu, at_tune_cuda;

struct at_session {
    const at_tune_backend *backend;
    const char *toolchain, *arch; /* filled by the back end */
    const char *cudnn;            /* version, by the back end; NULL: there is none */
    void *machine_state;          /* the back end's own */
    const at_bench_machine *machine; /* NULL: this processor */
    at_store *store;
    at_cache *cache;
    const at_device *device;
    const at_tune_options *options;
    const at_search *search;
    at_target target;
    at_pool *pool;
    int threads;
    int64_t id;
    at_hash conditions; /* of environment, protocol and seed: samples under others are not mixed */
    const at_compiler *compiler;
    double started_ns, deadline_ns;
    double core_ns;  /* spent before the first size, over all groups */
    int done, total; /* progress, in work units */
    const char *spec, *step;
    at_copies copies;
};

/* One workload of a group: items of equal size bucket share it. */
typedef struct at_task {
    at_store_workload workload;
    actune_shape shape;
    double weight;   /* of the time budget */
    double until_ns; /* when its measuring ends */
    bool done, reused;
    bool tried; /* no more time is kept for it */
    at_tune_result result;
    char *incumbent; /* text of the stored choice, NULL; heap */
} at_task;

/* Items of one kernel in one layout: they share space, code, verification and the first stage. */
struct at_group {
    at_session *session;
    const at_kernel *kernel;
    at_layout layout;
    bool in_place; /* on a GPU: all tasks are, and the space holds kernels that admit it */
    at_task *tasks;
    int task_count;
    at_arena arena;
    at_variant *space;
    int space_count;
    at_cudnn_variant offered[AT_CUDNN_VARIANTS_MAX]; /* what stands in the space from 1 on */
    int offered_count;
    at_code *codes;
    int code_count, code_capacity;
    at_candidate *candidates;
    int candidate_count, candidate_capacity;
    at_reference reference;
    bool has_reference;
    struct {
        const char *text;
        at_hash hash;
        actune_status status;
    } known[8]; /* source hashes of stored winners: sizes share them, and a fit takes its time */
    int known_count;
    int seeds[16]; /* winners of the first stage, indices in the space */
    int seed_count;
    at_binary *plain_binary; /* auto-vectorised baseline */
    actune_kernel_fn plain;
    at_hash plain_hash;
};

/* session.c */
actune_status at_session_open(at_session *session, at_store *store, at_cache *cache, const at_device *device,
                              const at_tune_options *options);
/* What measuring needs: compiler, threads, tuned copies, the session's row. Not before there is something to measure.
 */
actune_status at_session_equip(at_session *session);
void at_session_close(at_session *session);
bool at_session_stopped(const at_session *session);
void at_session_progress(at_session *session, const char *step);
double at_session_left_ns(const at_session *session);

/* candidates.c: space -> codes that compile and compute right. */
/* Turns a variant into one that may work in place, where the group's have to. */
actune_status at_group_admit_in_place(const at_group *group, at_variant *variant);
actune_status at_group_enumerate(at_group *group);
/* Makes sure that each variant is a candidate whose code is built and verified, as far as there is time until `until_ns`. */
actune_status at_group_prepare(at_group *group, const int *variants, int count, double until_ns);
/* Why a code cannot be used. */
void at_code_fail(at_code *code, const char *message);
bool at_code_is_built(const at_code *code);
const at_variant *at_code_variant(const at_group *group, int code);
/* The candidate of a variant of the space; NULL when it was not prepared. */
const at_candidate *at_group_candidate(const at_group *group, int variant);
/* Whether it may be timed: built, right, and no twin of an earlier one. */
bool at_candidate_usable(const at_group *group, const at_candidate *candidate);
/* Index in the space by the printed text; -1. */
int at_group_find(const at_group *group, const char *text);
void at_group_clear(at_group *group);
/* The source hash that a stored text gives today; NOT_FOUND when there is no such variant any more. */
actune_status at_variant_hash(const at_session *session, const at_kernel *kernel, at_layout layout, const char *text,
                              at_hash *hash);

/* race.c: interleaved rounds. */
/* Stage 1: fills group->seeds. */
actune_status at_race_core(at_group *group);
/* Stage 2 of one task: fills task->result and stores measurements and choice. */
actune_status at_race_task(at_group *group, at_task *task);

/* record.c: database rows. */
actune_status at_record_session(at_session *session);
/* Candidates of which everything is known and that are not there yet. */
actune_status at_record_codes(at_group *group);
/* Looks the task up: fills result, reused and done, or the incumbent. */
actune_status at_record_find(at_group *group, at_task *task);

#define AT_RACE_CORE "core"
#define AT_RACE_SIZE "size"

/* Rounds of a race. More are timed only of the best and of what runs today, when that decides. */
enum { AT_RACE_ROUNDS_MIN = 9, AT_RACE_ROUNDS = 31 };

/* The arms of a race and how they stand against the anchor. */
typedef struct at_race {
    at_arm *arm;
    int *variant;           /* of each arm: index in the space; < 0 for the arms below */
    at_interval *log_ratio; /* to the anchor */
    at_interval *behind;    /* log ratio to the best candidate, round by round: free of the anchor's own noise */
    bool *tied;
    int count, rounds;
    double *anchor_ns;      /* a round's: the median of AT_ANCHORS copies, so that one interruption moves nothing */
    int plain, null_arm, copies_from, copies; /* indices; -1: not there; arms 0 to AT_ANCHORS - 1 are memcpy */
    int first_default, incumbent;
    int best, winner; /* arms */
    int64_t seed;
    at_random random;      /* the order within rounds */
    const char *stage;     /* AT_RACE_CORE, AT_RACE_SIZE */
    at_store_workload workload;
    int restored;          /* rounds that an earlier run measured */
    bool stored;           /* and these are in the database as measurements */
    double saved_ns;       /* when it was kept last */
} at_race;

/* rounds.c */
/* Timed in every round: what stands for comparison, and what runs today. */
bool at_race_is_fixed(const at_race *race, int arm);
/* Fills log_ratio and anchor_ns from the samples. */
void at_race_estimate(at_race *race);
/* The candidate still in whose ratio to the anchor is least; -1. */
int at_race_best_candidate(const at_race *race);
/* Fills best (at_race_best_candidate) and behind; false when none is in. */
bool at_race_find_best(at_race *race);
/* Share of the best copy's speed that the arm reaches, in percent. */
double at_race_roof_share(const at_race *race, int arm);
/* After a round: decided, at the roof, or out of rounds or time. Takes out the arms that need not be timed any more. */
bool at_race_is_over(at_race *race, double until_ns);

/* decide.c */
/* Of the rounds that both arms were in: log of arm's time over the other's. */
at_interval at_race_log_ratio(const at_race *race, int arm, int to);
/* Fills best, tied and winner (-1: nobody): the tie set, then incumbent, default, less code, order of the knobs. */
void at_race_decide(const at_group *group, at_race *race);
/* The arm of the best kernel of ours, the default unless another is surely faster: where a function of another library wins, it runs for those that have no handle. */
int at_race_best_ours(const at_group *group, const at_race *race);
/* Fills task->result from a race that has a winner. */
void at_race_result(const at_group *group, at_task *task, const at_race *race);

/* resume.c: what races have measured so far. */
/* Keeps the race. stored: it is over and its measurements are stored in the same transaction. */
actune_status at_resume_save(at_group *group, at_race *race, bool stored);
actune_status at_resume_save_sometimes(at_group *group, at_race *race);
/* Takes up what a killed run kept of this race, when it has every arm; its arms are open already. */
actune_status at_resume_restore(const at_group *group, at_race *race);
/* Whether a killed run kept a first stage of this group. */
actune_status at_resume_has_core(const at_group *group, bool *has);
/* workload NULL: of all. */
actune_status at_resume_forget(const at_group *group, const char *stage, const at_store_workload *workload);

actune_status at_record_race(at_group *group, const at_race *race);
actune_status at_record_choice(at_group *group, const at_task *task, const at_race *race, double pct_roof);

#endif
