/* What actune_monitor wrote, read back: an event file of TensorBoard, or its lines of JSON. */
#ifndef AT_CLI_STATS_READ_H
#define AT_CLI_STATS_READ_H

#include "command.h"

typedef enum stats_key {
    STATS_COUNT, STATS_NONPOSITIVE, STATS_ZERO, STATS_CLIPPED, STATS_NAN, STATS_INF, STATS_MEAN, STATS_VARIANCE, STATS_ABSMAX,
    STATS_CHANNELS, STATS_DEAD, STATS_WINDOW, STATS_KEYS
} stats_key;

/* A layer as its last step shows it. */
typedef struct stats_layer {
    char *name;
    double value[STATS_KEYS]; /* 0 where !has */
    bool has[STATS_KEYS];
    char *spec, *device; /* NULL: not known */
    bool in_place, training, is_input;
} stats_layer;

typedef struct stats_file {
    stats_layer *layer;
    int layers;
} stats_file;

/* IO, SYNTAX (neither kind of file; path:line for JSON), NOT_FOUND (no layer's statistics are in it). Clear it in any case. */
actune_status stats_read(const char *path, stats_file *file);
void stats_clear(stats_file *file);

/* stats_wire.c: the records of an event file. `value` gets each scalar, `text` each text; a record that is cut at the end is left out. */
typedef struct stats_sink {
    void *user;
    actune_status (*value)(void *user, const char *tag, double value);
    actune_status (*text)(void *user, const char *tag, const char *text);
} stats_sink;
actune_status stats_read_events(const char *path, FILE *from, const stats_sink *sink);

#endif
