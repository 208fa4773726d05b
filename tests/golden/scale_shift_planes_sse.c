/* actune cpu/channel_outer: scale_shift | relu, forward, f32 to f16, math=plain width=16 unroll=1 store=plain prefetch=0, x86-64-v2 */
typedef __INT64_TYPE__ int64_t;

typedef struct actune_slice {
    void *const *port;
    int64_t outer, channels, inner;
    int64_t begin, end;
    double *partial;
} actune_slice;

typedef float f32x4 __attribute__((vector_size(16)));
typedef unsigned short u16x4 __attribute__((vector_size(8)));
typedef unsigned u32x4 __attribute__((vector_size(16)));

static inline f32x4 max_f32x4(f32x4 a, f32x4 b)
{
    __asm__("maxps %1, %0" : "+x"(a) : "x"(b));
    return a;
}

static inline f32x4 splat_f32x4(float x)
{
    return x - (f32x4){0};
}

static inline f32x4 fma_f32x4(f32x4 a, f32x4 b, f32x4 c)
{
    for (int i = 0; i < 4; i++)
        a[i] = __builtin_fmaf(a[i], b[i], c[i]);
    return a;
}

static inline f32x4 loadn_f32x4(const void *p, int64_t n)
{
    f32x4 x = {0};
    __builtin_memcpy(&x, p, (unsigned long)n * sizeof x[0]);
    return x;
}

static inline u16x4 narrow_f16x4(f32x4 x)
{
    u32x4 bits = (u32x4)x, magnitude = bits & 0x7fffffff;
    u32x4 small = (u32x4)(magnitude < 0x38800000), large = (u32x4)(magnitude >= 0x47800000);
    u32x4 nan = (u32x4)(magnitude > 0x7f800000);
    u32x4 normal = (magnitude - 0x38000000 + 0xfff + ((magnitude >> 13) & 1)) >> 13;
    u32x4 denormal = (u32x4)((f32x4)magnitude + 0.5f) - 0x3f000000;
    u32x4 result = (small & denormal) | (~small & normal);
    result = (large & 0x7c00) | (~large & result);
    return __builtin_convertvector(result | (nan & 0x200) | (bits >> 16 & 0x8000), u16x4);
}

static inline void storen_f16_f32x4(void *p, f32x4 x, int64_t n)
{
    u16x4 y = narrow_f16x4(x);
    __builtin_memcpy(p, &y, (unsigned long)n * sizeof y[0]);
}

static inline f32x4 load_f32x4(const void *p)
{
    f32x4 x;
    __builtin_memcpy(&x, p, sizeof x);
    return x;
}

static inline void store_f16_f32x4(void *p, f32x4 x)
{
    u16x4 y = narrow_f16x4(x);
    __builtin_memcpy(p, &y, sizeof y);
}

static inline f32x4 evaluate(f32x4 x, f32x4 bias, f32x4 scale)
{
    return max_f32x4(splat_f32x4(0.0f), fma_f32x4(x, bias, scale));
}

/* The ends of a span: at most one vector. */
static inline __attribute__((always_inline)) void piece(const float *x, f32x4 vbias, f32x4 vscale, unsigned short *y, int64_t n)
{
    f32x4 vx = loadn_f32x4(x, n);
    f32x4 vy = evaluate(vx, vbias, vscale);
    storen_f16_f32x4(y, vy, n);
}

/* n elements in a row. */
static inline void span(const float *x, f32x4 vbias, f32x4 vscale, unsigned short *y, int64_t n)
{
    int64_t i = 0;
    /* First to where stores are aligned. */
    if (n >= 32)
        i = -((int64_t)y / 2) & 3;
    if (i > 0)
        piece(x, vbias, vscale, y, i);
    for (; i + 4 <= n; i += 4) {
        f32x4 vx0 = load_f32x4(x + i);
        f32x4 vy0 = evaluate(vx0, vbias, vscale);
        store_f16_f32x4(y + i, vy0);
    }
    for (; i < n; i += 4)
        piece(x + i, vbias, vscale, y + i, n - i < 4 ? n - i : 4);
}

__attribute__((visibility("default"))) void actune_e3edec62d3840378(const actune_slice *s)
{
    if (s->begin >= s->end)
        return;
    const float *x = s->port[0];
    const float *bias = s->port[1];
    const float *scale = s->port[2];
    unsigned short *y = s->port[3];
    int64_t inner = s->inner;
    int64_t plane = s->begin / inner, channel = plane % s->channels, stop = (plane + 1) * inner;
    for (int64_t begin = s->begin; begin < s->end; begin = stop, stop += inner) {
        span(x + begin, splat_f32x4(bias[channel]), splat_f32x4(scale[channel]), y + begin, (stop < s->end ? stop : s->end) - begin);
        channel = channel + 1 == s->channels ? 0 : channel + 1;
    }
}
