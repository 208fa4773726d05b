/* "did you mean": the known names nearest to a wrong one. */
#ifndef AT_BASE_NEAREST_H
#define AT_BASE_NEAREST_H

#include "strbuf.h"

enum { AT_NEAREST_MAX = 3, AT_NEAREST_LENGTH_MAX = 32 };

typedef struct at_nearest {
    const char *wrong;
    int distance, count; /* of those in `name` */
    char name[AT_NEAREST_MAX][AT_NEAREST_LENGTH_MAX + 1];
} at_nearest;

/* `wrong` must outlive `nearest`. */
void at_nearest_init(at_nearest *nearest, const char *wrong);
/* Keeps `name` if none nearer came before. Names over AT_NEAREST_LENGTH_MAX are never kept. */
void at_nearest_consider(at_nearest *nearest, const char *name);
/* Appends "; did you mean 'a' or 'b'?", or nothing when no name came near. */
void at_nearest_print(const at_nearest *nearest, at_strbuf *out);

#endif
