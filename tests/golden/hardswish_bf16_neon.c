/* actune cpu/elementwise: hardswish, forward, bf16 to bf16, math=plain width=16 unroll=1 store=plain prefetch=0, neon */
typedef __INT64_TYPE__ int64_t;

typedef struct actune_slice {
    void *const *port;
    int64_t outer, channels, inner;
    int64_t begin, end;
    double *partial;
} actune_slice;

typedef float f32x4 __attribute__((vector_size(16)));
typedef int i32x4 __attribute__((vector_size(16)));
typedef unsigned short u16x4 __attribute__((vector_size(8)));
typedef unsigned u32x4 __attribute__((vector_size(16)));

static inline f32x4 fma_f32x4(f32x4 a, f32x4 b, f32x4 c)
{
    __asm__("fmla %0.4s, %1.4s, %2.4s" : "+w"(c) : "w"(a), "w"(b));
    return c;
}

static inline f32x4 splat_f32x4(float x)
{
    return x - (f32x4){0};
}

static inline f32x4 select_f32x4(i32x4 mask, f32x4 yes, f32x4 no)
{
    return (f32x4)((mask & (i32x4)yes) | (~mask & (i32x4)no));
}

static inline f32x4 min_f32x4(f32x4 a, f32x4 b)
{
    return select_f32x4(a < b, a, b);
}

static inline f32x4 max_f32x4(f32x4 a, f32x4 b)
{
    return select_f32x4(a > b, a, b);
}

static inline f32x4 widen_bf16x4(u16x4 x)
{
    return (f32x4)(__builtin_convertvector(x, u32x4) << 16);
}

static inline f32x4 loadn_bf16_f32x4(const void *p, int64_t n)
{
    u16x4 x = {0};
    __builtin_memcpy(&x, p, (unsigned long)n * sizeof x[0]);
    return widen_bf16x4(x);
}

static inline u16x4 narrow_bf16x4(f32x4 x)
{
    u32x4 bits = (u32x4)x;
    u32x4 rounded = (bits + 0x7fff + ((bits >> 16) & 1)) >> 16;
    u32x4 nan = (u32x4)(x != x);
    return __builtin_convertvector((nan & (bits >> 16 | 0x40)) | (~nan & rounded), u16x4);
}

static inline void storen_bf16_f32x4(void *p, f32x4 x, int64_t n)
{
    u16x4 y = narrow_bf16x4(x);
    __builtin_memcpy(p, &y, (unsigned long)n * sizeof y[0]);
}

static inline f32x4 load_bf16_f32x4(const void *p)
{
    u16x4 x;
    __builtin_memcpy(&x, p, sizeof x);
    return widen_bf16x4(x);
}

static inline void store_bf16_f32x4(void *p, f32x4 x)
{
    u16x4 y = narrow_bf16x4(x);
    __builtin_memcpy(p, &y, sizeof y);
}

static inline f32x4 evaluate(f32x4 x)
{
    f32x4 t0 = fma_f32x4(x, splat_f32x4(0.16666667f), splat_f32x4(0.5f));
    f32x4 t1 = min_f32x4(splat_f32x4(1.0f), max_f32x4(splat_f32x4(0.0f), t0));
    return x * t1;
}

/* The ends of a span: at most one vector. */
static __attribute__((noinline)) void piece(const unsigned short *x, unsigned short *y, int64_t n)
{
    f32x4 vx = loadn_bf16_f32x4(x, n);
    f32x4 vy = evaluate(vx);
    storen_bf16_f32x4(y, vy, n);
}

/* n elements in a row. */
static inline void span(const unsigned short *x, unsigned short *y, int64_t n)
{
    int64_t i = 0;
    /* First to where stores are aligned. */
    if (n >= 32)
        i = -((int64_t)y / 2) & 3;
    if (i > 0)
        piece(x, y, i);
    for (; i + 4 <= n; i += 4) {
        f32x4 vx0 = load_bf16_f32x4(x + i);
        f32x4 vy0 = evaluate(vx0);
        store_bf16_f32x4(y + i, vy0);
    }
    for (; i < n; i += 4)
        piece(x + i, y + i, n - i < 4 ? n - i : 4);
}

__attribute__((visibility("default"))) void actune_445ba8cac6ef7c39(const actune_slice *s)
{
    if (s->begin >= s->end)
        return;
    const unsigned short *x = s->port[0];
    unsigned short *y = s->port[1];
    int64_t begin = s->begin;
    span(x + begin, y + begin, s->end - begin);
}
