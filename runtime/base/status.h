/* Errors: a status code for programs, one message a thread for people. */
#ifndef AT_BASE_STATUS_H
#define AT_BASE_STATUS_H

#include <actune/actune.h>

/* Records the message (printf style; what was wrong, where, what to do) as this thread's last error and returns `code`,
   so that a failure reads `return at_fail(ACTUNE_NOT_FOUND, "...")`. Messages over 4 KiB are cut. Thread-safe. */
actune_status at_fail(actune_status code, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Puts "context: " in front of this thread's last error (the file, the stage, the row it happened in); returns `code`. */
actune_status at_fail_in(actune_status code, const char *context_format, ...) __attribute__((format(printf, 2, 3)));

/* Leaves the calling function with the status of `expression` unless it is ACTUNE_OK. */
#define AT_TRY(expression)                              \
    do {                                                \
        actune_status at_try_status_ = (expression);    \
        if (at_try_status_ != ACTUNE_OK)                \
            return at_try_status_;                      \
    } while (0)

#endif
