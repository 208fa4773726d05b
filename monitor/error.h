/* Errors of this library: as runtime/base/status.h, with a message of its own, so that it works beside whichever of actune's
   libraries the program links, and beside none. */
#ifndef AT_MONITOR_ERROR_H
#define AT_MONITOR_ERROR_H

#include <actune/monitor.h>

/* Records the message (what, where, what to do) as this thread's last error, returns `code`. */
actune_status at_monitor_fail(actune_status code, const char *format, ...) __attribute__((format(printf, 2, 3)));

#define AT_MONITOR_TRY(expression)                      \
    do {                                                \
        actune_status at_try_status_ = (expression);    \
        if (at_try_status_ != ACTUNE_OK)                \
            return at_try_status_;                      \
    } while (0)

#endif
