/* actune cpu/elementwise: relu, forward, f32 to f32, math=plain width=64 unroll=2 store=plain prefetch=0, x86-64-v4 */
typedef __INT64_TYPE__ int64_t;

typedef struct actune_slice {
    void *const *port;
    int64_t outer, channels, inner;
    int64_t begin, end;
    double *partial;
} actune_slice;

typedef float f32x16 __attribute__((vector_size(64)));

static inline f32x16 max_f32x16(f32x16 a, f32x16 b)
{
    f32x16 x;
    __asm__("vmaxps %2, %1, %0" : "=v"(x) : "v"(a), "v"(b));
    return x;
}

static inline f32x16 splat_f32x16(float x)
{
    return x - (f32x16){0};
}

static inline f32x16 loadn_f32x16(const void *p, int64_t n)
{
    f32x16 x;
    unsigned short mask = (unsigned short)((1u << n) - 1);
    __asm__("vmovups %1, %0%{%2%}%{z%}" : "=v"(x) : "m"(*(const char(*)[64])p), "Yk"(mask));
    return x;
}

static inline void storen_f32x16(void *p, f32x16 x, int64_t n)
{
    unsigned short mask = (unsigned short)((1u << n) - 1);
    __asm__("vmovups %1, %0%{%2%}" : "+m"(*(char(*)[64])p) : "v"(x), "Yk"(mask));
}

static inline f32x16 load_f32x16(const void *p)
{
    f32x16 x;
    __builtin_memcpy(&x, p, sizeof x);
    return x;
}

static inline void store_f32x16(void *p, f32x16 x)
{
    __builtin_memcpy(p, &x, sizeof x);
}

static inline f32x16 evaluate(f32x16 x)
{
    return max_f32x16(splat_f32x16(0.0f), x);
}

/* The ends of a span: at most one vector. */
static __attribute__((noinline)) void piece(const float *x, float *y, int64_t n)
{
    f32x16 vx = loadn_f32x16(x, n);
    f32x16 vy = evaluate(vx);
    storen_f32x16(y, vy, n);
}

/* n elements in a row. */
static inline void span(const float *x, float *y, int64_t n)
{
    int64_t i = 0;
    /* First to where stores are aligned. */
    if (n >= 128)
        i = -((int64_t)y / 4) & 15;
    if (i > 0)
        piece(x, y, i);
    for (; i + 32 <= n; i += 32) {
        f32x16 vx0 = load_f32x16(x + i);
        f32x16 vx1 = load_f32x16(x + i + 16);
        f32x16 vy0 = evaluate(vx0);
        f32x16 vy1 = evaluate(vx1);
        store_f32x16(y + i, vy0);
        store_f32x16(y + i + 16, vy1);
    }
    for (; i < n; i += 16)
        piece(x + i, y + i, n - i < 16 ? n - i : 16);
}

__attribute__((visibility("default"))) void actune_5b6cc5704889ecd6(const actune_slice *s)
{
    if (s->begin >= s->end)
        return;
    const float *x = s->port[0];
    float *y = s->port[1];
    int64_t begin = s->begin;
    span(x + begin, y + begin, s->end - begin);
}
