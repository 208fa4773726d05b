#include "error.h"

#include <stdarg.h>
#include <stdio.h>

static _Thread_local char message[1024];

actune_status at_monitor_fail(actune_status code, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(message, sizeof message, format, arguments);
    va_end(arguments);
    return code;
}

const char *actune_monitor_last_error(void)
{
    return message;
}
