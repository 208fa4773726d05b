/* actune cpu/channel_inner: bias | leaky_relu, forward, f32 to f32, math=plain width=32 unroll=1 store=stream prefetch=512, x86-64-v3 */
typedef __INT64_TYPE__ int64_t;

typedef struct actune_slice {
    void *const *port;
    int64_t outer, channels, inner;
    int64_t begin, end;
    double *partial;
} actune_slice;

typedef float f32x8 __attribute__((vector_size(32)));

static inline f32x8 max_f32x8(f32x8 a, f32x8 b)
{
    f32x8 x;
    __asm__("vmaxps %2, %1, %0" : "=v"(x) : "v"(a), "v"(b));
    return x;
}

static inline f32x8 load_f32x8(const void *p)
{
    f32x8 x;
    __builtin_memcpy(&x, p, sizeof x);
    return x;
}

static inline f32x8 loadn_f32x8(const void *p, int64_t n)
{
    static const int ones[16] __attribute__((aligned(64))) = {-1, -1, -1, -1, -1, -1, -1, -1};
    f32x8 x, mask = load_f32x8(ones + 8 - n);
    __asm__("vmaskmovps %1, %2, %0" : "=x"(x) : "m"(*(const char(*)[32])p), "x"(mask));
    return x;
}

static inline void storen_f32x8(void *p, f32x8 x, int64_t n)
{
    static const int ones[16] __attribute__((aligned(64))) = {-1, -1, -1, -1, -1, -1, -1, -1};
    f32x8 mask = load_f32x8(ones + 8 - n);
    __asm__("vmaskmovps %1, %2, %0" : "+m"(*(char(*)[32])p) : "x"(x), "x"(mask));
}

static inline void store_f32x8(void *p, f32x8 x)
{
    __builtin_memcpy(p, &x, sizeof x);
}

static inline void stream_f32x8(void *p, f32x8 x)
{
    __asm__("vmovntps %1, %0" : "=m"(*(char(*)[32])p) : "v"(x));
}

static inline void stream_any_f32x8(void *p, f32x8 x)
{
    if ((unsigned long)p % sizeof x)
        store_f32x8(p, x);
    else
        stream_f32x8(p, x);
}

static inline void fence(void)
{
    __asm__ volatile("sfence" ::: "memory");
}

static inline f32x8 evaluate(f32x8 x, f32x8 bias)
{
    f32x8 t0 = x + bias;
    f32x8 t1 = t0 * 0.01f;
    return max_f32x8(t0, t1);
}

/* The ends of a row: at most one vector. */
static __attribute__((noinline)) void piece(const float *x, f32x8 vbias, float *y, int64_t n)
{
    f32x8 vx = loadn_f32x8(x, n);
    f32x8 vy = evaluate(vx, vbias);
    storen_f32x8(y, vy, n);
}

/* A row, or a part of one: n elements, operands beside them. */
static inline void row(const float *x, const float *bias, float *y, int64_t n)
{
    int64_t i = 0;
    for (; i + 8 <= n; i += 8) {
        f32x8 vx0 = load_f32x8(x + i);
        f32x8 vbias0 = load_f32x8(bias + i);
        f32x8 vy0 = evaluate(vx0, vbias0);
        stream_any_f32x8(y + i, vy0);
    }
    for (int64_t end; i < n; i += 8) {
        end = n - i < 8 ? n - i : 8;
        piece(x + i, loadn_f32x8(bias + i, end), y + i, end);
    }
}

/* n elements of whole rows, however few channels they have: the operands are laid out again and again, from where
   the first element stands, so that a vector of them can be read anywhere in a period. */
static inline void pattern(const float *x, const float *bias, float *y, int64_t n, int64_t channel, int64_t channels)
{
    int64_t period = channels < 8 ? (7 + channels) / channels * channels : channels;
    float bias_pattern[2056] __attribute__((aligned(64)));
    for (int64_t k = 0, c = channel; k < period + 8; k++) {
        bias_pattern[k] = bias[c];
        c = c + 1 == channels ? 0 : c + 1;
    }
    /* First to where stores are aligned. */
    int64_t i = 0, j = 0, head = -((int64_t)y / 4) & 7;
    if (head > n)
        head = n;
    if (head > 0)
        piece(x + i, load_f32x8(bias_pattern + j), y + i, head);
    j = head;
    for (i = head; i + 8 <= n; i += 8) {
        __builtin_prefetch((const char *)(x + i) + 512);
        f32x8 vx0 = load_f32x8(x + i);
        f32x8 vbias0 = load_f32x8(bias_pattern + j);
        f32x8 vy0 = evaluate(vx0, vbias0);
        stream_f32x8(y + i, vy0);
        j += 8;
        j -= j >= period ? period : 0;
    }
    for (int64_t end; i < n; i += 8, j += 8) {
        end = n - i < 8 ? n - i : 8;
        j -= j >= period ? period : 0;
        piece(x + i, load_f32x8(bias_pattern + j), y + i, end);
    }
}

__attribute__((visibility("default"))) void actune_2e9fa20ecba91541(const actune_slice *s)
{
    if (s->begin >= s->end)
        return;
    const float *x = s->port[0];
    const float *bias = s->port[1];
    float *y = s->port[2];
    int64_t channels = s->channels;
    int64_t i = s->begin, channel = s->begin % channels;
    if (channels <= 2048 && s->end - i >= 2 * channels) {
        pattern(x + i, bias, y + i, s->end - i, channel, channels);
    } else {
        for (int64_t n; i < s->end; i += n, channel = 0) {
            n = s->end - i < channels - channel ? s->end - i : channels - channel;
            row(x + i, bias + channel, y + i, n);
        }
    }
    fence();
}
