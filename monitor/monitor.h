/* A monitor from inside: its two files and the lock around them. */
#ifndef AT_MONITOR_MONITOR_H
#define AT_MONITOR_MONITOR_H

#include "file.h"

#include "event.pb-c.h"
#include <pthread.h>

struct actune_monitor {
    pthread_mutex_t lock; /* around both files and waiting_since */
    at_monitor_file events, lines;
    bool json_lines;
    double flush_seconds, waiting_since; /* waiting_since: when the oldest event that waits came (monotonic seconds), < 0: none */
};

/* Appends one event (and a line of JSON, NULL: none), writes what waits when it is time. Both are kept or neither. */
actune_status at_monitor_add(actune_monitor *monitor, AtEvent__Event *event, const char *line);
/* The same for values of one step. */
actune_status at_monitor_add_values(actune_monitor *monitor, int64_t step, AtEvent__Value **values, size_t count, const char *line);
/* INVALID_ARGUMENT unless `text` is UTF-8 of 1 to 1024 bytes; `what` names it in the message. */
actune_status at_monitor_check_tag(const char *what, const char *text);
bool at_monitor_is_utf8(const char *text);

#endif
