/* Folders that actune keeps files in. */
#ifndef AT_DB_PATH_H
#define AT_DB_PATH_H

#include "../runtime/base/status.h"
#include <stddef.h>

/* The length of "$variable/below" or "$HOME/home_below/below", -1 when neither variable is an absolute path or it does not fit. */
int at_path_of_user(const char *variable, const char *home_below, const char *below, char *path, size_t size);
/* `path` with the working directory in front where it is relative; IO when it does not fit. */
actune_status at_path_absolute(const char *path, char *absolute, size_t size);
/* Makes the folders that `path` (absolute) lies in, 0700. */
actune_status at_path_make_parents(const char *path);

#endif
