/* NumPy's .npy files (versions 1 to 3, little-endian, C order) of the element types that NumPy has. */
#ifndef AT_CLI_NPY_H
#define AT_CLI_NPY_H

#include "runtime/base/status.h"

enum { NPY_RANK_MAX = 8 };

typedef struct npy_array {
    actune_dtype dtype;
    int rank;
    int64_t dim[NPY_RANK_MAX];
    int64_t count; /* product of dim, 1 for rank 0 */
    void *data;    /* 64-byte aligned, owned; never NULL after success */
} npy_array;

/* bf16 and f8 have no NumPy types: they are read from and written as uint16 ('<u2') and uint8 ('|u1'). `wanted`: what such files are taken
   for.
   Errors: IO, SYNTAX (the file and what is wrong in it), UNSUPPORTED (big-endian, Fortran order, other types). */
actune_status npy_read(const char *path, actune_dtype wanted, npy_array *array);
/* Zeroed array. NO_MEMORY, INVALID_ARGUMENT when the size overflows. */
actune_status npy_create(actune_dtype dtype, int rank, const int64_t *dim, npy_array *array);
/* Writes to a temporary file beside `path`, then renames: a reader never sees half a file, an old file survives failure. */
actune_status npy_write(const char *path, const npy_array *array);
void npy_clear(npy_array *array);

#endif
