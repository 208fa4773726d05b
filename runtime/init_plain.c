/* Weights where nothing compiles: the text of templates/random with one lane. */
#include "init.h"

#include "base/dtype.h"

#include <math.h>
#include <string.h>

#define RANDOM_FUNCTION static inline
typedef uint64_t word;
typedef uint64_t words;
typedef double reals;

static inline words words_of(word x)
{
    return x;
}

static inline reals real_of(double x)
{
    return x;
}

static inline words bits_of(reals x)
{
    words bits;
    memcpy(&bits, &x, sizeof bits);
    return bits;
}

static inline reals reals_of(words bits)
{
    reals x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

static inline reals fused(reals a, reals b, reals c)
{
    return fma(a, b, c);
}

static inline reals root(reals x)
{
    return sqrt(x);
}

#include "../templates/random/philox.c.in"

#include "../templates/random/draw.c.in"

void at_init_plain(actune_dtype dtype, const at_init_draw *draw, void *tensor, int64_t begin, int64_t end)
{
    for (int64_t i = begin; i < end; i += 2) {
        double even, odd;
        draw_pair((words)i / 2, draw->seed, draw->offset, draw->normal, draw->scale, &even, &odd);
        at_dtype_store(dtype, tensor, i, even);
        if (i + 1 < end)
            at_dtype_store(dtype, tensor, i + 1, odd);
    }
}

void at_philox(uint32_t counter[4], uint64_t key)
{
    words c[4] = {counter[0], counter[1], counter[2], counter[3]};
    philox(c, key);
    for (int i = 0; i < 4; i++)
        counter[i] = (uint32_t)c[i];
}
