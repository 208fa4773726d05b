// Made by actune from templates/cuda/elementwise: gelu | quantize(f8e4m3, scale=tensor) (forward, f16 to f8e4m3)
// block=256 vector=16 vectors=1 grid=exact copy=direct stages=1 load=none store=default min_blocks=0 tail=peeled math=exact restrict=yes dependent=no
/* One instruction each; the tests' CPU emulation brings its own. */
#ifndef ACTUNE_EMULATED
static __device__ __forceinline__ float from_f16(unsigned short bits)
{
    float value;
    asm("cvt.f32.f16 %0, %1;" : "=f"(value) : "h"(bits));
    return value;
}

/* To nearest even, at most the largest number; NaN is 0x7f. */
static __device__ __forceinline__ unsigned char to_f8e4m3(float value)
{
    unsigned short pair;
    asm("cvt.rn.satfinite.e4m3x2.f32 %0, %1, %2;" : "=h"(pair) : "f"(0.0f), "f"(value));
    return (unsigned char)pair;
}

#endif

/* The larger; NaN if either is; the first at a tie, so that -0 stays. */
static __device__ __forceinline__ float nan_max_f32(float a, float b)
{
    return a < b || b != b ? b : a;
}

/* erf(u) / u, for |u| <= 1. */
static __device__ __forceinline__ float erf_ratio_f32(float u)
{
    const float square = u * u;
    float p = fmaf(7.88913094e-05f, square, -0.000802084396f);
    p = fmaf(p, square, 0.00518953567f);
    p = fmaf(p, square, -0.0268544443f);
    p = fmaf(p, square, 0.112836003f);
    p = fmaf(p, square, -0.37612626f);
    return fmaf(p, square, 1.12837911f);
}

/* x erfc(u) where x is in proportion to u, off by little against x: 1 - erf(u) around 0, beyond it 2^-q(|u|) and its mirror image. */
static __device__ __forceinline__ float erfc_times_f32(float x, float u)
{
    const float size = fabsf(u);
    float q = fmaf(0.00165970402f, size, -0.0213203169f);
    q = fmaf(q, size, 0.127872154f);
    q = fmaf(q, size, 0.944227755f);
    q = fmaf(q, size, 1.61212313f);
    q = fmaf(q, size, 0.00385438208f);
    const float tail = exp2f(-q);
    return copysignf(size < 1.0f ? fmaf(x, -u * erf_ratio_f32(u), x) : x * (u < 0 ? 2.0f - tail : tail), x);
}

static __device__ __forceinline__ bool is_aligned(const void *pointer, int bytes)
{
    return (unsigned long long)pointer % bytes == 0;
}

/* Elements of `bytes` bytes up to the next multiple of `align`. */
static __device__ __forceinline__ int elements_to_border(const void *pointer, int align, int bytes)
{
    return (int)(-(unsigned long long)pointer % align) / bytes;
}

/* 8 elements of f16 as they lie in memory. */
struct __align__(16) f16x8 {
    unsigned short v[8];
};

/* 8 elements of f8e4m3 as they lie in memory. */
struct __align__(8) f8e4m3x8 {
    unsigned char v[8];
};

static __device__ __forceinline__ void evaluate(float x, float scale, float &y)
{
    const float t0 = erfc_times_f32((nan_max_f32(x, -3.4028235e+38f) * 0.5f), (x * -0.70710677f));
    const float t1 = t0 / scale;
    const float t2 = (t1 > 448.0f) ? 448.0f : t1;
    y = (t2 < -448.0f) ? -448.0f : t2;
}

extern "C" __global__ void __launch_bounds__(256) kernel(
    const unsigned short *__restrict__ x,
    const float *__restrict__ scale,
    unsigned char *__restrict__ y,
    long long n)
{
    const float scale_value = scale[0];
    /* `head` elements up to a vector's border, then `full` vectors; the rest, or all where pointers disagree, one by one. */
    const long long head = elements_to_border(x, 16, 2);
    const bool aligned = is_aligned(x + head, 16) && is_aligned(y + head, 8);
    const long long full = aligned && n > head ? (n - head) / 8 : 0;
    const f16x8 *const x_vectors = (const f16x8 *)(x + head);
    f8e4m3x8 *const y_vectors = (f8e4m3x8 *)(y + head);
    const long long first = (long long)blockIdx.x * 256 + threadIdx.x;
    if (first < full) {
        f16x8 x_in[1];
#pragma unroll
        for (int k = 0; k < 1; k++) {
            const long long v = first + k * 256;
            if (v < full) {
                x_in[k] = x_vectors[v];
            }
        }
#pragma unroll
        for (int k = 0; k < 1; k++) {
            const long long v = first + k * 256;
            f8e4m3x8 y_out;
#pragma unroll
            for (int e = 0; e < 8; e++) {
                const float x_value = from_f16(x_in[k].v[e]);
                float y_value;
                evaluate(x_value, scale_value, y_value);
                y_out.v[e] = to_f8e4m3(y_value);
            }
            y_vectors[v] = y_out;
        }
    }
#pragma unroll 1
    for (long long r = (long long)blockIdx.x * 256 + threadIdx.x; r < n - full * 8; r += (long long)gridDim.x * 256) {
        const long long i = r < head || full == 0 ? r : r + full * 8;
        const float x_value = from_f16(x[i]);
        float y_value;
        evaluate(x_value, scale_value, y_value);
        y[i] = to_f8e4m3(y_value);
    }
}
