/* actune: tuned activation kernels.

   A context opens the tuning database and a device, a plan is one kernel made ready for one shape, execute runs it:

       actune_context *context;
       actune_plan *plan;
       actune_context_open(NULL, &context);
       actune_plan_desc desc = {.spec = "gelu_tanh | clip(-6, 6)", .dtype_in = ACTUNE_F32, .dtype_out = ACTUNE_F32,
                                .shape = {.outer = 1, .channels = 1, .inner = n}};
       actune_plan_create(context, &desc, &plan);
       actune_buffer buffers[] = {{x, n, ACTUNE_F32}, {y, n, ACTUNE_F32}};
       actune_execute(plan, buffers, 2);

   Errors: every function that can fail returns a status; `actune_last_error` has the message for people (what was
   wrong, where, what to do) of the last failure in the calling thread. The library never prints, exits or aborts.
   Names ending in `_bytes` or `_ns` carry their unit. */
#ifndef ACTUNE_ACTUNE_H
#define ACTUNE_ACTUNE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if !defined(ACTUNE_API) && defined(__GNUC__)
#define ACTUNE_API __attribute__((visibility("default")))
#elif !defined(ACTUNE_API)
#define ACTUNE_API
#endif

#define ACTUNE_VERSION_MAJOR 0
#define ACTUNE_VERSION_MINOR 1
#define ACTUNE_VERSION_PATCH 0

/* Numbers are ABI and never change; 0 is success. Keep in step with runtime/base/status.def (a test compares). */
typedef enum actune_status {
    ACTUNE_OK = 0,
    ACTUNE_INVALID_ARGUMENT = 1,
    ACTUNE_SYNTAX = 2,
    ACTUNE_UNSUPPORTED = 3,
    ACTUNE_NOT_FOUND = 4,
    ACTUNE_NO_MEMORY = 5,
    ACTUNE_IO = 6,
    ACTUNE_DATABASE = 7,
    ACTUNE_NO_COMPILER = 8,
    ACTUNE_COMPILE = 9,
    ACTUNE_DEVICE = 10,
    ACTUNE_VERIFY = 11,
    ACTUNE_BUSY = 12,
    ACTUNE_INTERRUPTED = 13,
    ACTUNE_INTERNAL = 14,
    ACTUNE_NOT_FINITE = 15
} actune_status;

/* "INVALID_ARGUMENT"; "UNKNOWN" for a number that is none. Static text, any thread. */
ACTUNE_API const char *actune_status_name(actune_status status);
/* One sentence. Static text, any thread. */
ACTUNE_API const char *actune_status_message(actune_status status);
/* The message of the last failure in this thread, "" when none. Valid until the next call in this thread that fails. */
ACTUNE_API const char *actune_last_error(void);

/* Element types. Kernels compute in f32 (f64 for f64) and round once, to nearest even, when they store. What does not fit the 8-bit types
   becomes their largest or smallest number, infinities too; NaN becomes 0 in I8 and U8 and stays NaN (0x7f) in the other two. F8E4M3 is OCP's
   "e4m3fn" (448 at most, no infinity), F8E5M2 its e5m2 (57344 at most; infinities are read, never written). Numbers alone: scales and zero
   points are stages, quantize and dequantize. */
typedef enum actune_dtype {
    ACTUNE_F32 = 0,
    ACTUNE_F64 = 1,
    ACTUNE_F16 = 2,
    ACTUNE_BF16 = 3,
    ACTUNE_I8 = 4,
    ACTUNE_U8 = 5,
    ACTUNE_F8E4M3 = 6,
    ACTUNE_F8E5M2 = 7
} actune_dtype;

typedef enum actune_direction { ACTUNE_FORWARD = 0, ACTUNE_BACKWARD = 1 } actune_direction;

/* A contiguous tensor [outer, channels, inner]. NCHW: {N, C, H*W}. NHWC: {N*H*W, C, 1}. Tokens: {tokens, features, 1}.
   No channels: {1, 1, n}. Any extent may be 0: the plan then does nothing. At most 2^56 elements.
   Specs with add(channel) or mul(channel) have one value per outer and channel, so NHWC must tell images apart: {N, C, H*W, .channels_last = true}
   is [outer, inner, channels] in memory. To every other spec that is the same as {N*H*W, C, 1}.
   Specs that begin with `halves` split the channels of x in two: {tokens, 2 * features, 1}, or {N, 2 * C, H*W} (torch.nn.GLU with dim = 1);
   with channels = 1 the rows: {rows, 1, 2 * columns}. y has half as many. */
typedef struct actune_shape {
    int64_t outer, channels, inner;
    bool channels_last;
} actune_shape;

typedef struct actune_context actune_context;
typedef struct actune_plan actune_plan;

/* What a context does for a plan of whose very size the database has no winner. */
typedef enum actune_tuning {
    ACTUNE_TUNING_CACHED = 0, /* the nearest winner, else the default variant */
    ACTUNE_TUNING_OFF = 1,    /* the default variant, for every plan: no database is opened */
    ACTUNE_TUNING_RECORD = 2, /* as CACHED, and writes the plan down in the database: `actune tune --recorded` tunes it later */
    ACTUNE_TUNING_TUNE = 3    /* tunes it there and then, for tune_seconds, and stores the winner: the first plan of a size takes that long */
} actune_tuning;

/* A line for a program's own log: which kernel a plan got and why, what was not used, what was tuned. `warning`: something is not as
   it was asked for. `message` is valid during the call, which comes from the thread that made the plan. It must not call the context. */
typedef void (*actune_log_fn)(void *user, bool warning, const char *message);

typedef struct actune_context_options {
    const char *database;     /* path; NULL: ACTUNE_DB, else $XDG_DATA_HOME/actune/actune.db; "" opens none */
    const char *cache_folder; /* NULL: $XDG_CACHE_HOME/actune */
    const char *device;       /* "cpu" (NULL means it), "cuda:0", "cuda:1" ... */
    int max_threads;          /* 0: the processors this process may run on */
    bool no_compile;          /* never start a compiler: cached binaries, else the interpreter */
    actune_tuning tuning;
    double tune_seconds;      /* TUNE: at most about this long a kernel; 0: 10 */
    actune_log_fn log;        /* NULL: none */
    void *log_user;
} actune_context_options;

/* Opens a context: fingerprints the device, loads all of its winners into the dispatch table (a missing database is an
   empty one), starts no thread and no compiler. `options` NULL: all defaults.
   Errors: DATABASE (corrupt, foreign or newer-schema file; it is left untouched), IO, DEVICE, NO_MEMORY, INVALID_ARGUMENT (RECORD and TUNE with
   no database).
   Any thread. The context may be used by several threads. */
ACTUNE_API actune_status actune_context_open(const actune_context_options *options, actune_context **context);
/* Joins the worker threads and frees the context; closed before its last plan is destroyed, it goes with that. NULL is a no-op. */
ACTUNE_API void actune_context_close(actune_context *context);

/* The text of a C file with an activation, given instead of a file: the spec "@NAME:function" finds it by its name. It is read as a file
   would be (libclang; nothing in it is executed, nothing else is read), and need not live longer than the call. */
typedef struct actune_source {
    const char *name; /* e.g. "my_act.c": what messages show as the file; no blank, '|' or '(' */
    const char *text; /* at most 64 KiB */
} actune_source;

typedef struct actune_plan_desc {
    const char *spec;             /* the pipeline, e.g. "bias | gelu_tanh | clip(-6, 6)" */
    actune_direction direction;
    actune_dtype dtype_in;        /* x and element-shaped operands (add, mul); backward: x, and dx */
    actune_dtype dtype_out;       /* y; backward: dy */
    actune_shape shape;           /* of x (where it is rows of two halves: of both) */
    const char *const *gradients; /* backward: operands whose gradient is wanted besides dx (e.g. {"bias"}) */
    int gradient_count;
    bool in_place;                /* forward: y is x; backward: dx is dy. Not of halves, whose shapes differ */
    int max_threads;              /* 0: the context's */
    const actune_source *sources; /* texts that "@name:function" finds before it looks for a file */
    int source_count;
    bool overlap;                 /* CUDA: programmatic dependent launch. The kernel may start, and wait by itself, while the one in front of it on the
                                     stream, whosever it is, still runs; results are the same. Where the device or driver cannot, the plan's note says so */
} actune_plan_desc;

/* Makes a kernel ready to run on one shape: parses, derives, looks the winner up, compiles or loads it (the only step
   that may take milliseconds), falls back to the next candidate when one does not load and to the interpreter when
   nothing compiles. Per-channel operands and parameter gradients are f32 (f64 when dtype_in is f64).
   Errors: SYNTAX (with a caret under the column), INVALID_ARGUMENT, UNSUPPORTED, COMPILE, NO_MEMORY.
   Any thread; a plan may be executed by several threads at once. */
ACTUNE_API actune_status actune_plan_create(actune_context *context, const actune_plan_desc *desc, actune_plan **plan);
ACTUNE_API void actune_plan_destroy(actune_plan *plan);

/* What a buffer of a plan is: its place in `actune_execute`'s array is its index here. */
typedef struct actune_port_info {
    const char *name;   /* "x" (backward of [from=output]: "y"), "dy", "bias" ..., "y", "dx", "dbias" ... ; owned by the plan */
    actune_dtype dtype;
    int64_t count;      /* elements */
    bool is_output;
    bool is_random;     /* input: two 64-bit words, seed and offset, as the bits of two f64 (a uint64_t[2] will do); on CUDA in device memory */
} actune_port_info;

ACTUNE_API int actune_plan_port_count(const actune_plan *plan);
/* INVALID_ARGUMENT when `index` is out of range. */
ACTUNE_API actune_status actune_plan_port(const actune_plan *plan, int index, actune_port_info *info);

/* Why this kernel: texts owned by the plan. */
typedef struct actune_plan_info {
    const char *spec;       /* canonical text */
    const char *kernel;     /* identity: hash of the lowered graph and types */
    const char *variant;    /* template and knobs, or "interpreter"; "cudnn/..." where a function of cuDNN has won (see actune_prewarm) */
    const char *tier;       /* "exact", "nearest size", "other layout", "same model", "same capability", "out of place" (an in-place
                                plan runs what won out of place), "default", "interpreter" */
    const char *binary;     /* the loaded file, "" when interpreted; on CUDA what compiled it, as "NVRTC 13.0, cubin for sm_90", or
                                whose function it is, as "cuDNN 9.13.1, activation" */
    const char *note;       /* what a person should know (no compiler found, cache on a noexec mount ...), else "" */
    int threads;            /* the most this plan uses */
    size_t workspace_bytes; /* used by one execution; the plan's pool provides it */
} actune_plan_info;
ACTUNE_API void actune_plan_describe(const actune_plan *plan, actune_plan_info *info);
/* The generated source, "" when interpreted. Owned by the plan. */
ACTUNE_API const char *actune_plan_source(const actune_plan *plan);

typedef struct actune_buffer {
    void *data;
    int64_t count; /* elements; at least what the port asks for */
    actune_dtype dtype;
} actune_buffer;

/* Runs the plan on `buffers`, one per port in port order. Any alignment that suits the element type. Outputs must not
   overlap inputs or each other, but for y = x (forward) or dx = dy (backward) in a plan made with in_place; inputs may overlap
   inputs. An empty shape writes nothing but zeros into sums. Never locks, allocates, compiles or reads files in a
   single-threaded plan (with sums: as long as no more executions run at once than there are processors and, for
   workspaces beyond 1 MiB, but for the first times that several do); large shapes wake the context's worker threads.
   A pipeline with `standardize` goes over its tensor twice (backward: three times), for it needs the statistics of all of it first; in place
   it may as well. Mean and variance (divided by n) are those of torch's layer_norm and of its batch_norm in training: distances from values
   that are near, joined in f64, in an order that the shape gives: the same bits for any number of threads. Of no variance and eps = 0 comes NaN.
   A random stage (dropout) reads its seed and offset from a buffer (is_random): the same two words give the same mask in every plan whose
   tensor has as many elements, forward and backward, on every device. Executions at once may share the buffer; change the offset for each step.
   The caller's rounding and flush-to-zero state holds for the whole execution and is left as it was.
   Errors, before anything is written: INVALID_ARGUMENT (count, dtype, NULL, overlap; the message names the port).
   Any thread, several at once. In a child of fork, everything runs in the calling thread. */
ACTUNE_API actune_status actune_execute(const actune_plan *plan, const actune_buffer *buffers, int count);

/* On a CUDA device: `buffers` are device memory, `stream` is a CUstream or cudaStream_t (NULL: the default stream, which is what
   actune_execute uses). The call puts one kernel (two where the plan has sums; as many for each pass of a pipeline with standardize: three or
   four forward, five or six backward) on the stream and returns: asynchronous, no lock, no
   allocation, no synchronisation, never compiles. The buffers must live until the stream has passed. The current context of the thread does not
   matter and stays what it is. `workspace`: workspace_bytes of device memory (actune_plan_describe), 256-byte aligned, that nothing else uses
   until the stream has passed; NULL: the plan's own, of which each pair of thread and stream that executes the plan keeps one (16 at most).
   While the stream is captured into a graph, a plan that needs a workspace needs the caller's, and it belongs to the graph: a graph must not run
   beside itself. On a CPU both must be NULL.
   Errors: those of actune_execute; INVALID_ARGUMENT for a workspace that is wanted; DEVICE (the driver's call, its code and what to do).
   A kernel that fails does so later: the next call on the device reports it.
   Any thread, several at once, on any of the device's streams. */
ACTUNE_API actune_status actune_execute_on(const actune_plan *plan, const actune_buffer *buffers, int count, void *stream, void *workspace);
/* Makes ready now what the calling thread's executions on `stream` will use: workspaces, and cuDNN where one of its functions has won (our own
   code is loaded when the plan is made).
   - Workspaces: needed before the first execution on a stream only when they are large (16 of them more than 64 MiB).
   - cuDNN: making a handle allocates, locks and waits for the device, which execute must not. So a plan whose winner is cuDNN's calls cuDNN
     where this function was called by the same thread for the same stream before (16 pairs at most), on buffers aligned to 16 bytes; for
     everybody else, and when cuDNN fails, it runs the best kernel of ours, which keeps every promise of execute. cuDNN's own calls are asynchronous
     and may be captured; whether they lock or allocate host memory inside is cuDNN's. Both keep the accuracy class, but their last bits may
     differ. That cuDNN cannot be made ready is no error.
     ACTUNE_CUDNN=none in the environment keeps cuDNN out of everything.
   May wait for the device. Errors: NO_MEMORY, DEVICE, INVALID_ARGUMENT (no piece is left, or the stream is being captured). Any thread. */
ACTUNE_API actune_status actune_prewarm(const actune_plan *plan, void *stream);

/* --- Batches: different pipelines over independent tensors, in one launch --- */

/* Members with a kernel each, run by one call: experts or branches of a network whose activations differ. Made once, used every step. */
typedef struct actune_batch actune_batch;

/* `members`: `count` (at least 1) descriptions as for actune_plan_create, each with its own spec, direction, types and shape; copied. Every member
   gets the winner that a plan of its own would get, and gives the same bits as that plan (on CUDA: its winner's arithmetic; how the loop runs is the
   batch's own variant). A shape's `outer` is the most rows that an execution may have (see actune_batch_options). max_threads of a member says
   nothing. Compiles or loads the kernels (the only step that may take milliseconds); members that are alike share theirs.
   Errors: those of actune_plan_create, naming the member; UNSUPPORTED for a member with sums or other reductions (gradients of bias, alpha ...): give it a plan of
   its own. Any thread. */
ACTUNE_API actune_status actune_batch_create(actune_context *context, const actune_plan_desc *members, int count, actune_batch **batch);
/* NULL is a no-op. On a CUDA device: when its streams have passed. */
ACTUNE_API void actune_batch_destroy(actune_batch *batch);

typedef struct actune_batch_info {
    int members;
    int kernels;         /* different ones among them */
    int buffers;         /* that execute takes: the members' ports in order, one member after the other */
    int64_t elements;    /* of all members' shapes */
    int threads;         /* the most an execution uses */
    int launches;        /* CUDA: kernels an execution puts on the stream: 1, more only when the buffers' addresses do not fit one launch; 0 on a CPU */
    const char *variant; /* CUDA: the batch's template and knobs; "" on a CPU, where every member has its own (actune_batch_member); owned by the batch */
    const char *binary;  /* CUDA: what compiled it; "" on a CPU */
} actune_batch_info;
ACTUNE_API void actune_batch_describe(const actune_batch *batch, actune_batch_info *info);
/* Why this kernel, for one member; on CUDA `variant` and `tier` are those of the winner whose arithmetic it has. INVALID_ARGUMENT when there is no such member. */
ACTUNE_API actune_status actune_batch_member(const actune_batch *batch, int member, actune_plan_info *info);
/* What a buffer of the batch is, and whose; `member` may be NULL. INVALID_ARGUMENT when `index` is out of range. */
ACTUNE_API actune_status actune_batch_port(const actune_batch *batch, int index, int *member, actune_port_info *info);
/* CUDA: the generated source, "" on a CPU. Owned by the batch. */
ACTUNE_API const char *actune_batch_source(const actune_batch *batch);

/* Zeroed: all members do the whole of their shapes, on the default stream. On a CUDA device `rows` and `offsets` are device memory that the kernel
   reads when it runs, so a captured graph follows what somebody writes there; they must live until the stream has passed. At most one of the two. */
typedef struct actune_batch_options {
    const int64_t *rows;    /* one a member: how many of its `outer` rows are there this time (tokens of an expert); buffers begin at the first */
    const int64_t *offsets; /* one a member and one more, not decreasing: member i has the rows from offsets[i] up to offsets[i + 1] of its tensors. So all
                               members may be given one tensor (tokens sorted by expert), each with that tensor's shape. Operands along channels
                               begin at their first; random stages count elements from the member's first row */
    void *stream;           /* CUDA, as in actune_execute_on; NULL on a CPU */
} actune_batch_options;

/* Runs all members. `buffers`: actune_batch_info.buffers of them. Rules for each member's are those of actune_execute; beyond them an output must not
   overlap any buffer of another member (inputs may be shared). On a CPU rows that are not there need no memory; on CUDA, where only the kernel knows
   how many there are, buffers hold the whole shape, numbers beyond it count as the shape's, and with `offsets` members may share an output.
   CPU: one parallel section over all members' elements, cut into pieces of about as many bytes, which threads take as they are free; no lock, no
   allocation (as actune_execute with a workspace), never compiles. CUDA: asynchronous, one kernel, no lock, no allocation, no wait, may be captured.
   `options` NULL: all zero.
   Errors, before anything is written: INVALID_ARGUMENT (the message names member and port, or the option), DEVICE.
   Any thread, several at once. */
ACTUNE_API actune_status actune_batch_execute(const actune_batch *batch, const actune_buffer *buffers, int count,
                                              const actune_batch_options *options);

/* --- Gradient clipping over a list of tensors --- */

/* The tensors of one list, cut into pieces and with their kernels ready: made once, used every step. */
typedef struct actune_tensor_list actune_tensor_list;

/* `tensors`: `count` (at least 1) contiguous tensors of one element type, at least one element's alignment; copied, the memory they point to
   is the caller's and must live as long as the list is used. A tensor of no elements is fine and may be NULL. Compiles or loads the kernels
   (the only step that may take milliseconds); where nothing compiles on a CPU, plain loops with the same results.
   Errors, each naming the tensor: INVALID_ARGUMENT (no tensors, NULL, a negative count, mixed types, misaligned, two that overlap),
   NO_MEMORY, DEVICE. Any thread. */
ACTUNE_API actune_status actune_tensor_list_create(actune_context *context, const actune_buffer *tensors, int count,
                                                   actune_tensor_list **list);
/* The tensors stay. NULL is a no-op. On a CUDA device: when its streams have passed. */
ACTUNE_API void actune_tensor_list_destroy(actune_tensor_list *list);

typedef struct actune_tensor_list_info {
    int tensors;
    int64_t elements;
    actune_dtype dtype;
    int threads;            /* the most a call uses */
    const char *kernels;    /* the loaded file; on CUDA what compiled it; "plain loops"; owned by the list */
    const char *note;       /* why plain loops, else ""; owned by the list */
    size_t workspace_bytes; /* of one actune_clip_norm */
} actune_tensor_list_info;
ACTUNE_API void actune_tensor_list_describe(const actune_tensor_list *list, actune_tensor_list_info *info);

/* Limits every element to [-limit, limit], in place, in one pass; NaN stays (torch.nn.utils.clip_grad_value_). `stream`: as in
   actune_execute_on; NULL on a CPU. Errors: INVALID_ARGUMENT (limit < 0 or NaN), DEVICE. Any thread, but one at a time on the same tensors. */
ACTUNE_API actune_status actune_clip_value(const actune_tensor_list *list, double limit, void *stream);

/* The norm of all elements of all tensors together: the root of the sum of squares, the largest magnitude, the sum of magnitudes. */
typedef enum actune_norm { ACTUNE_NORM_2 = 0, ACTUNE_NORM_INF = 1, ACTUNE_NORM_1 = 2 } actune_norm;

#define ACTUNE_MAX_NORM_DEFAULT 1.0

/* Zeroed: the 2-norm, and torch's default of writing whatever the norm is. */
typedef struct actune_clip_norm_options {
    actune_norm norm;
    bool error_if_nonfinite; /* write nothing and return NOT_FINITE where the norm is infinite or NaN */
    bool compute_only;       /* norm and coefficient alone; the tensors stay as they are */
    void *stream;            /* CUDA, as in actune_execute_on */
    void *workspace;         /* CUDA: workspace_bytes of device memory, 256-byte aligned, for this call; NULL: the list's own */
    void *device_result;     /* CUDA: an actune_clip_result in device memory, e.g. for an optimizer to read; NULL: none */
    const actune_buffer *sums; /* f32 or f64 values that belong to the norm too: sums of squares (2-norm), magnitudes (inf) or sums of magnitudes (1) of
                                  gradients whose kernel added them up on the way, as the stage grad_norm does. On CUDA in device memory. NULL: none */
    int summed_tensors;      /* so many tensors at the end of the list are not read for the norm, since `sums` speaks for them; scaled they are as all others */
} actune_clip_norm_options;

typedef struct actune_clip_result {
    double norm;
    double coefficient;      /* min(1, max_norm / (norm + 1e-6)), rounded to the type that kernels of the list compute in */
    float coefficient_f32;   /* the same, for an optimizer that applies it */
    int32_t not_finite;      /* the norm is infinite or NaN */
    int32_t scaled;          /* the tensors were multiplied with the coefficient */
    int32_t reserved;
} actune_clip_result;

/* Multiplies all tensors with min(1, max_norm / (norm + 1e-6)) (torch.nn.utils.clip_grad_norm_). Where that is 1 nothing is written. Where the
   norm is not finite, the tensors are multiplied as in torch: with 0 (infinite norm) or NaN; never left as they are, unless error_if_nonfinite.
   Sums are short runs in f32 added up in f64 (f64 throughout for f64, and where f32 does not hold the squares), in an order that the shapes
   alone decide: the same bits for any number of threads. `max_norm`: >= 0, infinity does not clip; `options` NULL: all zero; `result` may be NULL.
   On a CUDA device the call puts two kernels on the stream and returns, may be captured (with the caller's workspace), and leaves the
   results in device_result; but with `result` or error_if_nonfinite it waits for the stream, which a capture forbids.
   A gradient that a backward kernel reduces (bias, alpha ...) is small: put it into the list. One that is a tensor of its own may skip the first of its two
   passes: stand grad_norm in its pipeline, put the tensor last and give the sum.
   Errors: INVALID_ARGUMENT (max_norm < 0 or NaN, an unknown norm, sums of no f32 or f64, more summed_tensors than tensors or some without sums), NOT_FINITE (`result` is set), NO_MEMORY, DEVICE.
   Any thread; calls that write go one at a time on the same tensors. */
ACTUNE_API actune_status actune_clip_norm(const actune_tensor_list *list, double max_norm, const actune_clip_norm_options *options,
                                          actune_clip_result *result);

/* What is in a tensor of activations: counts of elements, so that they add up, and figures of the finite ones.
   `actune/monitor.h` writes them for TensorBoard. */
typedef struct actune_statistics {
    int64_t count;
    int64_t nonpositive; /* x <= 0 */
    int64_t zero;        /* x == 0, of either sign */
    int64_t clipped;     /* at a bound of the clip or beyond it */
    int64_t nan, inf;
    double mean, variance, absmax;      /* of the finite elements (variance: their mean square distance from the mean); 0 of none */
    int64_t channel_count;              /* of `channels`; 0: none */
    struct actune_statistics *channels; /* the caller's, each channel by itself (with channel_count 0) */
    int64_t dead_channels;              /* <= 0 everywhere in each step of the window */
    int64_t window_steps;               /* of that window; 0: it has not seen so many steps yet */
} actune_statistics;

/* What the stage `stats` of a spec (`relu | stats`, `bias | gelu | stats(channel) | clip(-6, 6)`) leaves in its output `stats`: for the tensor, or
   for each channel, a record of ACTUNE_STATISTICS_FIELDS f64 in this order. All of them add up (the last one: the maximum), so records of
   steps, devices or ranks may be joined before they are read. Counts are exact. Sum, squares and maximum are of the finite values, as they stand at that place of the
   pipeline, in the compute type, before a store rounds them. */
typedef enum actune_statistics_field {
    ACTUNE_STATISTICS_COUNT = 0,
    ACTUNE_STATISTICS_NONPOSITIVE = 1, /* x <= 0 */
    ACTUNE_STATISTICS_ZERO = 2,        /* x == 0, of either sign */
    ACTUNE_STATISTICS_CLIPPED = 3,     /* at a bound or beyond it of the clip next to the stage: right behind it, else right before it */
    ACTUNE_STATISTICS_NAN = 4,
    ACTUNE_STATISTICS_INF = 5,
    ACTUNE_STATISTICS_SUM = 6,
    ACTUNE_STATISTICS_SQUARES = 7,     /* the sum of x * x */
    ACTUNE_STATISTICS_ABSMAX = 8,
    ACTUNE_STATISTICS_FIELDS = 9
} actune_statistics_field;

/* Statistics of `channels` such records (1 for `stats`; the plan's channels for `stats(channel)`), on the host. `per_channel` (as many, or NULL) becomes
   statistics->channels, as actune_statistics_compute has them: the same window, monitor and advice take both.
   The variance comes from two sums: its relative error is about 1e-7 + 1e-15 (mean / deviation)^2, so a mean of 10,000 deviations costs f32,
   f16 and bf16 tensors nothing; f64 tensors with a mean beyond 1e6 deviations want actune_statistics_compute.
   INVALID_ARGUMENT: NULL, no channel, a record that no kernel leaves (a count that is negative or no number). Any thread. */
ACTUNE_API actune_status actune_statistics_from_records(const double *records, int64_t channels, actune_statistics *per_channel,
                                                        actune_statistics *statistics);

/* Initial weights, as torch.nn.init defines them (He et al. 2015; Glorot and Bengio 2010). */
typedef enum actune_init_kind {
    ACTUNE_KAIMING_NORMAL = 0,  /* deviation gain / sqrt(fan) */
    ACTUNE_KAIMING_UNIFORM = 1, /* in [-b, b), b = sqrt(3) times that */
    ACTUNE_XAVIER_NORMAL = 2,   /* deviation gain * sqrt(2 / (fan_in + fan_out)) */
    ACTUNE_XAVIER_UNIFORM = 3   /* in [-b, b), b = sqrt(3) times that */
} actune_init_kind;

typedef enum actune_fan_mode { ACTUNE_FAN_IN = 0, ACTUNE_FAN_OUT = 1 } actune_fan_mode;

typedef struct actune_init_desc {
    actune_init_kind kind;
    actune_fan_mode mode;     /* Kaiming: which fan; fan_in is shape[1], fan_out shape[0], times the product of the other axes */
    const int64_t *shape;     /* of the weight: [out, in, ...], 2 to 16 axes */
    int rank;
    const char *nonlinearity; /* gain: linear, identity, conv1d ..., sigmoid 1, tanh 5/3, relu sqrt(2), selu 3/4, leaky_relu
                                 sqrt(2 / (1 + slope^2)). NULL: leaky_relu (Kaiming), 1 (Xavier) */
    double slope;             /* of leaky_relu; 0 gives relu's gain (torch's default of calculate_gain is 0.01, of kaiming_normal_ 0) */
    double gain;              /* 0: of the nonlinearity; else this one, with nonlinearity NULL */
    uint64_t seed;
    uint64_t offset;          /* tells tensors of one seed apart: give each weight its own */
} actune_init_desc;

/* The deviation or bound of a description, in double. INVALID_ARGUMENT names the field. Any thread. */
ACTUNE_API actune_status actune_init_scale(const actune_init_desc *desc, double *scale);
/* Fills `weight` (at least as many elements as the shape has; device memory on a CUDA device). Element i depends on seed, offset, i and the
   scale alone: Philox 4x32-10 with seed as key, computed in f64 with operations that IEEE 754 defines, rounded once. So the bits are the same on every CPU and
   GPU, for any number of threads, and f16 weights are the f32 ones rounded. The first call of an element type compiles (or loads)
   its kernel; without a compiler a CPU draws with the library's own code, slower and with the same bits.
   `stream`: as in actune_execute_on, asynchronous; the context must outlive the work. NULL on a CPU. The kernel must be there before a capture: call once before it.
   Errors, before anything is written: INVALID_ARGUMENT (the argument and what is wrong with it), NO_MEMORY; CUDA: COMPILE, DEVICE.
   Any thread, several at once. */
ACTUNE_API actune_status actune_init(actune_context *context, const actune_init_desc *desc, const actune_buffer *weight, void *stream);

typedef struct actune_statistics_desc {
    const void *data; /* contiguous, any alignment that suits the type */
    actune_dtype dtype;
    actune_shape shape;
    actune_statistics *channels; /* shape.channels of them, filled each by itself; NULL: of the whole tensor only */
    double clip_lo, clip_hi;     /* x <= clip_lo or x >= clip_hi counts as clipped; none does unless clip_lo < clip_hi
                                    (both 0: no clip; one bound alone: the other infinite) */
} actune_statistics_desc;

/* Reads the tensor once, on the CPU, with the context's threads; `context` NULL: in the calling thread. Sums are f64, cut into chunks by the
   shape alone, so the bits of the result do not depend on the number of threads. NaN counts as nan and nothing else, an infinity as inf and by
   its sign. dead_channels and window_steps are 0 (see actune_window_add).
   Errors: INVALID_ARGUMENT (NULL, a type or a shape that is none), UNSUPPORTED (the context is that of a GPU), NO_MEMORY.
   Any thread. */
ACTUNE_API actune_status actune_statistics_compute(actune_context *context, const actune_statistics_desc *desc,
                                                   actune_statistics *statistics);

/* Which channels were dead (every element <= 0) in each of the last `steps` steps: units that no longer learn through a relu.
   One thread at a time. */
typedef struct actune_window actune_window;
/* INVALID_ARGUMENT unless both are at least 1; NO_MEMORY. */
ACTUNE_API actune_status actune_window_create(int64_t channels, int64_t steps, actune_window **window);
/* NULL is a no-op. */
ACTUNE_API void actune_window_destroy(actune_window *window);
/* Adds one step (an empty tensor is none). Sets the statistics' dead_channels and window_steps once as many steps were added as the window has.
   INVALID_ARGUMENT when the statistics have no channels, or another number of them. */
ACTUNE_API actune_status actune_window_add(actune_window *window, actune_statistics *statistics);
/* False while the window is not full, and for a channel that there is not. */
ACTUNE_API bool actune_window_is_dead(const actune_window *window, int64_t channel);

/* Scales for `quantize(..., scale=)` from sample tensors. */
typedef enum actune_calibration_method {
    ACTUNE_CALIBRATE_MAX = 0,        /* nothing saturates: the largest magnitude gets the largest code */
    ACTUNE_CALIBRATE_PERCENTILE = 1, /* that which `percentile` percent of all magnitudes do not exceed gets it */
    ACTUNE_CALIBRATE_MSE = 2         /* least mean squared error of dequantize(quantize(x)) */
} actune_calibration_method;

typedef struct actune_calibration_desc {
    actune_calibration_method method;
    actune_dtype dtype; /* what will be quantised to: I8, U8 (zero point 0; samples must not be negative), F8E4M3, F8E5M2 */
    double percentile;  /* up to 100; 0: 99.99 */
    int64_t channels;   /* a scale for each of so many channels; 0: one scale */
} actune_calibration_desc;

typedef struct actune_calibration actune_calibration;

/* Errors of all: INVALID_ARGUMENT, NO_MEMORY. One thread at a time for one calibration. */
ACTUNE_API actune_status actune_calibration_create(const actune_calibration_desc *desc, actune_calibration **calibration);
ACTUNE_API void actune_calibration_destroy(actune_calibration *calibration); /* NULL: nothing */
/* Counts a tensor in host memory, of any type; may be called for any number of tensors. NaN and infinities are left out. Magnitudes are counted rounded to 12
   significant bits (exact for all types of 16 and 8 bits), 16 KiB for each octave that a channel meets; MAX keeps the largest alone, exactly. */
ACTUNE_API actune_status actune_calibration_add(actune_calibration *calibration, const actune_buffer *tensor, actune_shape shape);
/* scale: one number, or `channels` of them: the threshold divided by the type's largest number (127, 255, 448, 57344), rounded to f32. The percentile is that of the nearest
   rank, zeros counted. The least error is looked for among thresholds from the largest magnitude down to a 64th of it, 2 % apart, then 0.07 % around the best.
   A channel that met nothing but zeros gets 1; without channels that is INVALID_ARGUMENT. May be called between adds. */
ACTUNE_API actune_status actune_calibration_scales(const actune_calibration *calibration, float *scale);

#ifdef __cplusplus
}
#endif
#endif
