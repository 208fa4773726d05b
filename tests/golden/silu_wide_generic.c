/* actune cpu/elementwise: silu, forward, f64 to f64, math=wide width=16 unroll=1 store=plain prefetch=0, generic */
typedef __INT64_TYPE__ int64_t;

typedef struct actune_slice {
    void *const *port;
    int64_t outer, channels, inner;
    int64_t begin, end;
    double *partial;
} actune_slice;

typedef double f64x2 __attribute__((vector_size(16)));

static double sigmoid_f64(double x)
{
    double e = __builtin_exp(-__builtin_fabs(x));
    return (x < 0 ? e : 1.0) / (1.0 + e);
}

static inline f64x2 loadn_f64x2(const void *p, int64_t n)
{
    f64x2 x = {0};
    __builtin_memcpy(&x, p, (unsigned long)n * sizeof x[0]);
    return x;
}

static inline void storen_f64x2(void *p, f64x2 x, int64_t n)
{
    __builtin_memcpy(p, &x, (unsigned long)n * sizeof x[0]);
}

static inline f64x2 load_f64x2(const void *p)
{
    f64x2 x;
    __builtin_memcpy(&x, p, sizeof x);
    return x;
}

static inline void store_f64x2(void *p, f64x2 x)
{
    __builtin_memcpy(p, &x, sizeof x);
}

static double stretch0_wide(double x)
{
    return x * sigmoid_f64(x);
}

static f64x2 stretch0(f64x2 x)
{
    for (int i = 0; i < 2; i++)
        x[i] = stretch0_wide(x[i]);
    return x;
}

static inline f64x2 evaluate(f64x2 x)
{
    return stretch0(x);
}

/* The ends of a span: at most one vector. */
static __attribute__((noinline)) void piece(const double *x, double *y, int64_t n)
{
    f64x2 vx = loadn_f64x2(x, n);
    f64x2 vy = evaluate(vx);
    storen_f64x2(y, vy, n);
}

/* n elements in a row. */
static inline void span(const double *x, double *y, int64_t n)
{
    int64_t i = 0;
    /* First to where stores are aligned. */
    if (n >= 16)
        i = -((int64_t)y / 8) & 1;
    if (i > 0)
        piece(x, y, i);
    for (; i + 2 <= n; i += 2) {
        f64x2 vx0 = load_f64x2(x + i);
        f64x2 vy0 = evaluate(vx0);
        store_f64x2(y + i, vy0);
    }
    for (; i < n; i += 2)
        piece(x + i, y + i, n - i < 2 ? n - i : 2);
}

__attribute__((visibility("default"))) void actune_f58f87bdd3ce7285(const actune_slice *s)
{
    if (s->begin >= s->end)
        return;
    const double *x = s->port[0];
    double *y = s->port[1];
    int64_t begin = s->begin;
    span(x + begin, y + begin, s->end - begin);
}
