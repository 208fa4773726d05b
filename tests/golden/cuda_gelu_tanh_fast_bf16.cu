// Made by actune from templates/cuda/elementwise: [accuracy=fast] gelu_tanh (forward, bf16 to bf16)
// block=128 vector=16 vectors=2 grid=exact copy=direct stages=1 load=none store=default min_blocks=4 tail=predicated math=ex2 restrict=yes dependent=no
/* One instruction each; the tests' CPU emulation brings its own. */
#ifndef ACTUNE_EMULATED
static __device__ __forceinline__ float exp2_approx_f32(float x)
{
    float y;
    asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
    return y;
}

static __device__ __forceinline__ float rcp_approx_f32(float x)
{
    float y;
    asm("rcp.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
    return y;
}

/* To nearest even; NaN stays NaN. */
static __device__ __forceinline__ unsigned short to_bf16(float value)
{
    unsigned short bits;
    asm("cvt.rn.bf16.f32 %0, %1;" : "=h"(bits) : "f"(value));
    return bits;
}

#endif

/* The larger; NaN if either is; the first at a tie, so that -0 stays. */
static __device__ __forceinline__ float nan_max_f32(float a, float b)
{
    return a < b || b != b ? b : a;
}

static __device__ __forceinline__ float exp_approx_f32(float x)
{
    return exp2_approx_f32(1.44269504f * x);
}

/* exp(-|x|) cannot overflow; both ends keep their relative accuracy. */
static __device__ __forceinline__ float sigmoid_approx_f32(float x)
{
    const float e = exp_approx_f32(-fabsf(x));
    return (x < 0 ? e : 1) * rcp_approx_f32(1 + e);
}

static __device__ __forceinline__ float from_bf16(unsigned short bits)
{
    return __int_as_float((int)bits << 16);
}

static __device__ __forceinline__ bool is_aligned(const void *pointer, int bytes)
{
    return (unsigned long long)pointer % bytes == 0;
}

/* 8 elements of bf16 as they lie in memory. */
struct __align__(16) bf16x8 {
    unsigned short v[8];
};

static __device__ __forceinline__ void evaluate(float x, float &y)
{
    const float t0 = x + (x * (x * (x * 0.044715f)));
    y = nan_max_f32(x, -3.4028235e+38f) * sigmoid_approx_f32((t0 * 1.5957692f));
}

extern "C" __global__ void __launch_bounds__(128, 4) kernel(
    const unsigned short *__restrict__ x,
    unsigned short *__restrict__ y,
    long long n)
{
    /* The last vector, and every one where a pointer is misaligned, goes element by element. */
    const bool aligned = is_aligned(x, 16) && is_aligned(y, 16);
    const long long full = (n + 7) / 8;
    const bf16x8 *const x_vectors = (const bf16x8 *)x;
    bf16x8 *const y_vectors = (bf16x8 *)y;
    const long long first = (long long)blockIdx.x * 256 + threadIdx.x;
    if (first < full) {
        bf16x8 x_in[2];
#pragma unroll
        for (int k = 0; k < 2; k++) {
            const long long v = first + k * 128;
            if (aligned && (v + 1) * 8 <= n) {
                x_in[k] = x_vectors[v];
            } else {
#pragma unroll
                for (int e = 0; e < 8; e++) {
                    if (v * 8 + e < n) {
                        x_in[k].v[e] = x[v * 8 + e];
                    }
                }
            }
        }
#pragma unroll
        for (int k = 0; k < 2; k++) {
            const long long v = first + k * 128;
            if (v >= full)
                break;
            bf16x8 y_out;
#pragma unroll
            for (int e = 0; e < 8; e++) {
                const float x_value = from_bf16(x_in[k].v[e]);
                float y_value;
                evaluate(x_value, y_value);
                y_out.v[e] = to_bf16(y_value);
            }
            if (aligned && (v + 1) * 8 <= n) {
                y_vectors[v] = y_out;
            } else {
#pragma unroll
                for (int e = 0; e < 8; e++) {
                    if (v * 8 + e < n) {
                        y[v * 8 + e] = y_out.v[e];
                    }
                }
            }
        }
    }
}
