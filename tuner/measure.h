/* Timing by MEASURING.md: one workload's buffers (a bench), the arms that race on them, and interleaved rounds.
   - Bytes are algorithmic: each input read once, each output written once.
   - Regimes: warm below the cache bound; above it cold, in rotation over buffer sets that together are at least 5 times
   the bound (fewer where memory is short: `sets` in the protocol tells).
   - A timed region is at least 100 times the timer's resolution and 20 us, by repeating the launch. In-place launches
   run on fresh copies.
   - Processors run slower for up to 0.6 ms after 64-byte vectors. A round times the arms that use them together, and warm regions
   of the others start when that is over.
   - Inputs are normal with sigma 2, without zeros and denormals. */
#ifndef AT_TUNER_MEASURE_H
#define AT_TUNER_MEASURE_H

#include "../runtime/device.h"
#include "../runtime/launch.h"
#include "stats.h"

typedef struct at_bench at_bench;
struct at_arm;

/* One launch of a region: the ports of a buffer set, or what to copy. */
typedef struct at_bench_step {
    void *const *port;
    void *copy_from, *copy_to;
    size_t copy_bytes;
} at_bench_step;

/* Another machine than this processor, in whose memory the buffers lie and by whose clock regions are timed. Regions take `repeats`
   launches through the buffer sets, from the first on. */
typedef struct at_bench_machine {
    void *self;
    int64_t memory_bytes; /* that buffers may take together */
    actune_status (*allocate)(void *self, size_t bytes, void **memory);
    void (*release)(void *self, void *memory);
    actune_status (*upload)(void *self, void *to, const void *from, size_t bytes);
    actune_status (*copy)(void *self, void *to, const void *from, size_t bytes); /* within the machine; not waited for */
    actune_status (*open_arm)(void *self, const at_bench *bench, struct at_arm *arm); /* fills arm->state */
    void (*close_arm)(void *self, struct at_arm *arm);
    /* ns of one launch; arm->repeats may have changed since the last call. */
    actune_status (*time)(void *self, const at_bench *bench, struct at_arm *arm, double *ns);
} at_bench_machine;

typedef struct at_bench_request {
    const at_signature *signature;
    at_layout layout;
    actune_shape shape; /* not empty */
    bool in_place;
    const at_device *device;
    at_pool *pool;
    int64_t seed;
    const at_bench_machine *machine; /* NULL: this processor */
} at_bench_request;

/* Bytes that one launch reads and writes. */
int64_t at_workload_bytes(const at_signature *signature, actune_shape shape);
bool at_workload_is_cold(const at_signature *signature, actune_shape shape, const at_device *device);

/* Allocates and fills the buffers. `signature` and `pool` are kept. NO_MEMORY. Not thread-safe. */
actune_status at_bench_open(const at_bench_request *request, at_bench **bench);
void at_bench_close(at_bench *bench);
int at_bench_sets(const at_bench *bench);
/* For machines: what launch `i` of a region works on, the request, and memory for partial sums. */
at_bench_step at_bench_step_of(const at_bench *bench, int i);
const at_bench_request *at_bench_request_of(const at_bench *bench);
void *at_bench_workspace(const at_bench *bench);

typedef enum at_arm_kind {
    AT_ARM_KERNEL, /* a compiled kernel of the bench's signature */
    AT_ARM_WHOLE,  /* a function of the same ports that does the whole tensor, sums included, in one call */
    AT_ARM_COPY,   /* a compiled f32 identity kernel that moves the same bytes */
    AT_ARM_MEMCPY, /* the anchor */
    AT_ARM_CALL    /* somebody else's function on the bench's ports: a peer in bench/ */
} at_arm_kind;

typedef struct at_arm {
    at_arm_kind kind;
    actune_kernel_fn function; /* not for MEMCPY and CALL */
    void (*call)(void *self, void *const *port);
    void *self;
    int threads;
    bool wide;   /* uses 64-byte vectors, or may */
    const void *code; /* on another machine: what it runs instead of `function` */
    bool active;
    /* filled by at_arm_open */
    const at_bench_machine *machine;
    void *state; /* the machine's */
    at_launch launch;
    int repeats;
    double first_ns;    /* a launch, roughly */
    double *samples_ns; /* of one launch; sample i was taken in round i */
    int samples;
} at_arm;

/* The signature that AT_ARM_COPY functions have: x f32, y f32, elements. */
const at_signature *at_copy_signature(void);

/* Makes the arm ready on this bench and finds its number of repeats (a few launches). */
actune_status at_arm_open(at_bench *bench, at_arm *arm);
void at_arm_close(at_arm *arm);
/* Times every active arm once, in random order but the wide ones together, and appends a sample to each (up to AT_SAMPLES_MAX). On another
   machine launches can fail: the arm is then out (not active); when it was an anchor (MEMCPY) its error is returned. */
actune_status at_bench_round(at_bench *bench, at_arm *arms, int count, at_random *random);

/* Monotonic nanoseconds, and the least step between two readings. */
double at_now_ns(void);
double at_timer_resolution_ns(void);

#endif
