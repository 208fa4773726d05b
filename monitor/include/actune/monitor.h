/* actune_monitor: what training shows of its activations, as files that TensorBoard reads.

       actune_monitor *monitor;
       actune_monitor_open("runs/today", NULL, &monitor);
       actune_monitor_scalar(monitor, "loss", step, loss);
       actune_monitor_statistics(monitor, "layer3/relu", step, &statistics);   (from actune_statistics_compute)
       actune_monitor_close(monitor);

   A library of its own (libactune_monitor, needs protobuf-c and libc): nothing else in actune needs protocol buffers, and
   this needs nothing of actune but types of actune/actune.h.

   Errors: functions return a status and `actune_monitor_last_error` has the message (actune_last_error knows nothing of
   them). The library never prints, exits or aborts.
   ACTUNE_IO: the disk is full, or the file cannot be written. What was given is kept, in memory, and written at the next
   flush that can; a call that returns ACTUNE_IO need not be made again.
   ACTUNE_NO_MEMORY: what was given is not kept: memory is out, or more than `pending_bytes_max` wait for the disk.
   Threads: a monitor may be used by several threads at once (calls wait for one another); close and discard are the last
   call. After fork only the parent may use it. */
#ifndef ACTUNE_MONITOR_H
#define ACTUNE_MONITOR_H

#include <actune/actune.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct actune_monitor actune_monitor;

typedef struct actune_monitor_options {
    double flush_seconds;     /* a call that finds events waiting for longer writes them; 0: 2 s, < 0: each call */
    size_t pending_bytes_max; /* kept in memory while the disk refuses; 0: 64 MiB */
    bool json_lines;          /* statistics and layers also as lines of JSON, in a file beside (for actune doctor --stats) */
    const char *suffix;       /* of the files' names; NULL: none. No '/' */
} actune_monitor_options;

/* Makes `folder` (and those above it) when it is missing, and in it a file events.out.tfevents.SECONDS.HOST.PID.NUMBER
   that did not exist before; with json_lines also actune.SECONDS.HOST.PID.NUMBER.jsonl. `options` NULL: all defaults.
   Errors: IO (the folder or the file cannot be made or written; no monitor is left), INVALID_ARGUMENT, NO_MEMORY. */
ACTUNE_API actune_status actune_monitor_open(const char *folder, const actune_monitor_options *options,
                                             actune_monitor **monitor);
/* Writes what waits and frees the monitor. On IO it stays as it is, nothing is lost: make room and call again, or give up
   with actune_monitor_discard. NULL is a no-op. */
ACTUNE_API actune_status actune_monitor_close(actune_monitor *monitor);
/* Frees the monitor without writing what waits. NULL is a no-op. */
ACTUNE_API void actune_monitor_discard(actune_monitor *monitor);
/* Writes what waits, now. Errors: IO. */
ACTUNE_API actune_status actune_monitor_flush(actune_monitor *monitor);
/* The event file; owned by the monitor. */
ACTUNE_API const char *actune_monitor_path(const actune_monitor *monitor);
/* The file of JSON lines, "" without one; owned by the monitor. */
ACTUNE_API const char *actune_monitor_json_path(const actune_monitor *monitor);

/* Tags and layer names: not empty, UTF-8, at most 1024 bytes; TensorBoard groups by what stands before the first '/'.
   Errors of the calls below: INVALID_ARGUMENT (nothing was kept), IO, NO_MEMORY (see above). */

/* Stored as float, as TensorBoard has them; NaN and infinities are passed on. */
ACTUNE_API actune_status actune_monitor_scalar(actune_monitor *monitor, const char *tag, int64_t step, double value);
/* Of `count` values (may be 0) in the buckets that TensorFlow has by default; values that are not finite are left out. */
ACTUNE_API actune_status actune_monitor_histogram(actune_monitor *monitor, const char *tag, int64_t step,
                                                  const double *values, int64_t count);
/* Text, shown under "Text" (as Markdown). */
ACTUNE_API actune_status actune_monitor_text(actune_monitor *monitor, const char *tag, int64_t step, const char *text);

/* One event with scalars LAYER/count, fraction_nonpositive, fraction_zero, fraction_clipped, nan, inf, mean, variance,
   absmax; with channels also LAYER/channels and the histogram LAYER/active_per_channel (of each channel, the fraction
   of elements > 0); with a full window also LAYER/dead_channels (their fraction) and LAYER/window. */
ACTUNE_API actune_status actune_monitor_statistics(actune_monitor *monitor, const char *layer, int64_t step,
                                                   const actune_statistics *statistics);

/* What is known of a layer besides its numbers, so that actune doctor --stats can say more. */
typedef struct actune_monitor_layer {
    const char *spec;   /* the pipeline, e.g. "bias | relu" */
    const char *device; /* "cpu", "cuda:0"; NULL: not known */
    bool in_place;      /* forward writes y over x */
    bool training;      /* a backward pass follows */
    bool is_input;      /* the statistics are of what goes into the network: should be standardised */
} actune_monitor_layer;
/* Written as the text LAYER/layer, a line of JSON. `spec` NULL: not known. */
ACTUNE_API actune_status actune_monitor_describe(actune_monitor *monitor, const char *layer,
                                                 const actune_monitor_layer *description);

/* The message of the last call of this library that failed in this thread, "" when none. Valid until the next one. */
ACTUNE_API const char *actune_monitor_last_error(void);

#ifdef __cplusplus
}
#endif
#endif
