/* actune cpu/elementwise: quantize(i8, scale=0.05), forward, f32 to i8, math=plain width=16 unroll=1 store=plain prefetch=0, x86-64-v2 */
typedef __INT64_TYPE__ int64_t;

typedef struct actune_slice {
    void *const *port;
    int64_t outer, channels, inner;
    int64_t begin, end;
    double *partial;
} actune_slice;

typedef float f32x4 __attribute__((vector_size(16)));
typedef unsigned u32x4 __attribute__((vector_size(16)));
typedef int i32x4 __attribute__((vector_size(16)));

static inline f32x4 max_f32x4(f32x4 a, f32x4 b)
{
    __asm__("maxps %1, %0" : "+x"(a) : "x"(b));
    return a;
}

static inline f32x4 splat_f32x4(float x)
{
    return x - (f32x4){0};
}

static inline f32x4 rint_f32x4(f32x4 x)
{
    __asm__("roundps $8, %0, %0" : "+x"(x));
    return x;
}

static inline f32x4 min_f32x4(f32x4 a, f32x4 b)
{
    __asm__("minps %1, %0" : "+x"(a) : "x"(b));
    return a;
}

static inline f32x4 loadn_f32x4(const void *p, int64_t n)
{
    f32x4 x = {0};
    __builtin_memcpy(&x, p, (unsigned long)n * sizeof x[0]);
    return x;
}

static inline void store_bytes_x4(void *p, u32x4 x)
{
    x &= 0xff;
    __asm__("packusdw %0, %0" : "+x"(x));
    __asm__("packuswb %0, %0" : "+x"(x));
    __builtin_memcpy(p, &x, 4);
}

static inline void storen_bytes_x4(void *p, u32x4 x, int64_t n)
{
    unsigned char part[4];
    store_bytes_x4(part, x);
    __builtin_memcpy(p, part, (unsigned long)n);
}

static inline u32x4 narrow_i8x4(f32x4 x)
{
    f32x4 number = (f32x4)((i32x4)x & (x == x));
    f32x4 inside = min_f32x4(max_f32x4(number, splat_f32x4(-128.0f)), splat_f32x4(127.0f));
    return (u32x4)(inside + 0x1.8p23f);
}

static inline void storen_i8_f32x4(void *p, f32x4 x, int64_t n)
{
    storen_bytes_x4(p, narrow_i8x4(x), n);
}

static inline f32x4 load_f32x4(const void *p)
{
    f32x4 x;
    __builtin_memcpy(&x, p, sizeof x);
    return x;
}

static inline void store_i8_f32x4(void *p, f32x4 x)
{
    store_bytes_x4(p, narrow_i8x4(x));
}

static inline f32x4 evaluate(f32x4 x)
{
    f32x4 t0 = max_f32x4(splat_f32x4(-127.0f), rint_f32x4(x / 0.05f));
    return min_f32x4(splat_f32x4(127.0f), t0);
}

/* The ends of a span: at most one vector. */
static __attribute__((noinline)) void piece(const float *x, signed char *y, int64_t n)
{
    f32x4 vx = loadn_f32x4(x, n);
    f32x4 vy = evaluate(vx);
    storen_i8_f32x4(y, vy, n);
}

/* n elements in a row. */
static inline void span(const float *x, signed char *y, int64_t n)
{
    int64_t i = 0;
    /* First to where stores are aligned. */
    if (n >= 32)
        i = -((int64_t)y / 1) & 3;
    if (i > 0)
        piece(x, y, i);
    for (; i + 4 <= n; i += 4) {
        f32x4 vx0 = load_f32x4(x + i);
        f32x4 vy0 = evaluate(vx0);
        store_i8_f32x4(y + i, vy0);
    }
    for (; i < n; i += 4)
        piece(x + i, y + i, n - i < 4 ? n - i : 4);
}

__attribute__((visibility("default"))) void actune_6e5bdc05dbe9c300(const actune_slice *s)
{
    if (s->begin >= s->end)
        return;
    const float *x = s->port[0];
    signed char *y = s->port[1];
    int64_t begin = s->begin;
    span(x + begin, y + begin, s->end - begin);
}
