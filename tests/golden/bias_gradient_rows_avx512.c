/* actune cpu/channel_inner: bias | relu, forward, f32 to f32, math=plain width=64 unroll=1 store=plain prefetch=0, x86-64-v4 */
typedef __INT64_TYPE__ int64_t;

typedef struct actune_slice {
    void *const *port;
    int64_t outer, channels, inner;
    int64_t begin, end;
    double *partial;
} actune_slice;

typedef float f32x16 __attribute__((vector_size(64)));
typedef int i32x16 __attribute__((vector_size(64)));

static inline f32x16 select_f32x16(i32x16 mask, f32x16 yes, f32x16 no)
{
    return (f32x16)((mask & (i32x16)yes) | (~mask & (i32x16)no));
}

static inline f32x16 splat_f32x16(float x)
{
    return x - (f32x16){0};
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

static inline void evaluate(f32x16 x, f32x16 bias, f32x16 dy, f32x16 *out0, f32x16 *out1)
{
    f32x16 t0 = select_f32x16((x + bias) > 0.0f, dy, splat_f32x16(0.0f));
    *out0 = t0;
    *out1 = t0;
}

/* A chunk of whole rows. Each channel is added in row order within 16 rows, then to its partial sum, so the bits of a
   sum depend on nothing but the chunk. */
static inline void sum_rows(const float *x, const float *bias, const float *dy, float *y, int64_t rows, int64_t channels, double *partial)
{
    for (int64_t k = 0; k < 1 * channels; k++)
        partial[k] = 0;
    for (int64_t first = 0; first < rows; first += 16) {
        int64_t stop = rows - first < 16 ? rows : first + 16, column = 0;
        float lane[16];
        for (; column + 16 <= channels; column += 16) {
            f32x16 vbias = load_f32x16(bias + column);
            f32x16 dbias_sum = {0};
            for (int64_t row = first; row < stop; row++) {
                int64_t i = row * channels + column;
                f32x16 vx = load_f32x16(x + i);
                f32x16 vdy = load_f32x16(dy + i);
                f32x16 vy, vdbias; evaluate(vx, vbias, vdy, &vy, &vdbias);
                store_f32x16(y + i, vy);
                dbias_sum += vdbias;
            }
            store_f32x16(lane, dbias_sum);
            for (int64_t j = 0; j < 16; j++)
                partial[0 * channels + column + j] += (double)lane[j];
        }
        if (column < channels) {
            int64_t n = channels - column;
            f32x16 vbias = loadn_f32x16(bias + column, n);
            f32x16 dbias_sum = {0};
            for (int64_t row = first; row < stop; row++) {
                int64_t i = row * channels + column;
                f32x16 vx = loadn_f32x16(x + i, n);
                f32x16 vdy = loadn_f32x16(dy + i, n);
                f32x16 vy, vdbias; evaluate(vx, vbias, vdy, &vy, &vdbias);
                storen_f32x16(y + i, vy, n);
                dbias_sum += vdbias;
            }
            store_f32x16(lane, dbias_sum);
            for (int64_t j = 0; j < n; j++)
                partial[0 * channels + column + j] += (double)lane[j];
        }
    }
}

__attribute__((visibility("default"))) void actune_751cc1770fe13ab5(const actune_slice *s)
{
    if (s->begin >= s->end)
        return;
    const float *x = s->port[0];
    const float *bias = s->port[1];
    const float *dy = s->port[3];
    float *y = s->port[4];
    int64_t channels = s->channels;
    int64_t rows = 16384 / channels & -16;
    if (rows < 16)
        rows = 16;
    for (int64_t chunk = s->begin; chunk < s->end; chunk++) {
        int64_t row = chunk * rows, i = row * channels, channel = 0;
        sum_rows(x + i, bias + channel, dy + i, y + i, s->outer - row < rows ? s->outer - row : rows, channels,
            s->partial + chunk * 1 * channels);
    }
}
