#include "status.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { MESSAGE_BYTES = 4096 };
static _Thread_local char last_error[MESSAGE_BYTES];

static const struct {
    actune_status status;
    const char *name, *message;
} table[] = {
#define AT_STATUS(NAME, number, message) {ACTUNE_##NAME, #NAME, message},
#include "status.def"
#undef AT_STATUS
};
enum { STATUS_COUNT = sizeof table / sizeof *table };

const char *actune_status_name(actune_status status)
{
    for (int i = 0; i < STATUS_COUNT; i++)
        if (table[i].status == status)
            return table[i].name;
    return "UNKNOWN";
}

const char *actune_status_message(actune_status status)
{
    for (int i = 0; i < STATUS_COUNT; i++)
        if (table[i].status == status)
            return table[i].message;
    return "unknown status";
}

const char *actune_last_error(void)
{
    return last_error;
}

actune_status at_fail(actune_status code, const char *format, ...)
{
    /* Formatted aside first: an argument may be the last error itself. */
    char text[MESSAGE_BYTES];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    memcpy(last_error, text, sizeof last_error);
    return code;
}

actune_status at_fail_in(actune_status code, const char *context_format, ...)
{
    char text[MESSAGE_BYTES];
    va_list arguments;
    va_start(arguments, context_format);
    int length = vsnprintf(text, sizeof text, context_format, arguments);
    va_end(arguments);
    if (length >= 0 && length < MESSAGE_BYTES - 2) { /* room for ": " */
        snprintf(text + length, 3, ": ");
        snprintf(text + length + 2, sizeof text - (size_t)length - 2, "%.*s", MESSAGE_BYTES - length - 3, last_error);
    }
    memcpy(last_error, text, sizeof last_error);
    return code;
}
