/* Cross-compiled for AArch64 together with the generated kernels; runs every case of the file, in slices cut at odd places and with
   misaligned bases, and prints what is out of its interval. */
#include "cases.h"

#include "runtime/base/dtype.h"
#include "runtime/base/kernel_abi.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct neon_symbol {
    const char *name;
    actune_kernel_fn function;
} neon_symbol;

extern const neon_symbol neon_symbols[];

static actune_kernel_fn find(const char *name)
{
    for (const neon_symbol *s = neon_symbols; s->name; s++)
        if (!strcmp(s->name, name))
            return s->function;
    return NULL;
}

static bool inside(double got, double low, double high)
{
    return low > high || (isnan(low) ? isnan(got) : got >= low && got <= high);
}

static int check(const neon_case *c, const unsigned char *x, const unsigned char *dy, unsigned char *y, const double *low, const double *high)
{
    actune_kernel_fn function = find(c->symbol);
    void *port[8];
    if (!function) {
        printf("%s: no symbol %s\n", c->what, c->symbol);
        return 1;
    }
    for (int p = 0; p < c->ports; p++)
        port[p] = p == c->x_port ? (void *)x : p == c->dy_port ? (void *)dy : (void *)y;
    memset(y, 0xff, (size_t)c->count * (size_t)c->bytes);
    int64_t cuts[] = {0, 1, 6, 37, c->count / 2 + 1, c->count};
    for (int k = 0; k < 5; k++) {
        actune_slice slice = {port, 1, 1, c->count, cuts[k], cuts[k + 1], NULL};
        function(&slice);
    }
    for (int64_t i = 0; i < c->count; i++) {
        double got = at_dtype_load((actune_dtype)c->dtype, y, i);
        if (!inside(got, low[i], high[i])) {
            printf("%s: x = %g gives %.9g, not in [%.9g, %.9g]\n", c->what, at_dtype_load((actune_dtype)c->dtype, x, i), got, low[i], high[i]);
            return 1;
        }
    }
    return 0;
}

int main(int argc, char **argv)
{
    FILE *in = argc == 2 ? fopen(argv[1], "rb") : NULL;
    neon_case c;
    int cases = 0, failed = 0;
    while (in && fread(&c, sizeof c, 1, in) == 1 && c.magic == NEON_MAGIC) {
        size_t n = (size_t)c.count, bytes = n * (size_t)c.bytes;
        /* One element off any alignment that a vector would like. */
        unsigned char *x = malloc(bytes + 64), *dy = malloc(bytes + 64), *y = malloc(bytes + 64);
        double *low = malloc(n * sizeof *low), *high = malloc(n * sizeof *high);
        if (!x || !dy || !y || !low || !high || fread(x + c.bytes, 1, bytes, in) != bytes || fread(low, sizeof *low, n, in) != n ||
            fread(high, sizeof *high, n, in) != n) {
            puts("the case file is cut short");
            return 1;
        }
        for (int64_t i = 0; i < c.count; i++)
            at_dtype_store((actune_dtype)c.dtype, dy + c.bytes, i, 1);
        failed += check(&c, x + c.bytes, dy + c.bytes, y + c.bytes, low, high);
        cases++;
        free(x), free(dy), free(y), free(low), free(high);
    }
    printf("%d AArch64 cases, %d failed\n", cases, failed);
    return failed || !cases;
}
