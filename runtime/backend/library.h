/* Looking for a library that the machine may or may not have. */
#ifndef AT_BACKEND_LIBRARY_H
#define AT_BACKEND_LIBRARY_H

#include <stdbool.h>
#include <stddef.h>

typedef struct at_library_search {
    const char *variable;     /* of the environment: names the file and ends the search, whether it loads or not */
    const char *file;         /* "libnvrtc.so": what follows (a version) does not matter in folders */
    const char *const *names; /* for the loader's path, best first, NULL at the end */
    bool (*bind)(void *library, const char *path); /* false: something is missing, the next one is tried */
} at_library_search;

/* The loader's path, then the toolkit's folders (CUDA_HOME, CUDA_PATH, /usr/local/cuda*), the system's, conda's, and those of Python's `nvidia`
   packages (virtual environment, conda, the user's, the system's); in a folder the highest name first. What was bound stays loaded. Any thread. */
bool at_library_find(const at_library_search *search);
/* Why the file `path` was not taken: the loader's words, or that functions are missing. Any thread. */
void at_library_reason(const char *path, char *reason, size_t size);

#endif
