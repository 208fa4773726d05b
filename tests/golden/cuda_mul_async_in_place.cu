// Made by actune from templates/cuda/elementwise: silu | mul (forward, f16 to f16)
// block=256 vector=16 vectors=1 grid=stride copy=async stages=2 load=none store=default min_blocks=0 tail=peeled math=exact restrict=no dependent=yes
/* One instruction each; the tests' CPU emulation brings its own. */
#ifndef ACTUNE_EMULATED
static __device__ __forceinline__ void copy_async_16(void *to_shared, const void *from)
{
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16;" ::"r"((unsigned int)__cvta_generic_to_shared(to_shared)), "l"(from)
                 : "memory");
}

static __device__ __forceinline__ void copy_async_commit()
{
    asm volatile("cp.async.commit_group;" ::: "memory");
}

static __device__ __forceinline__ void copy_async_wait_1()
{
    asm volatile("cp.async.wait_group 1;" ::: "memory");
}

static __device__ __forceinline__ void wait_for_previous_grid()
{
    asm volatile("griddepcontrol.wait;" ::: "memory");
}

static __device__ __forceinline__ void let_next_grid_start()
{
    asm volatile("griddepcontrol.launch_dependents;");
}

static __device__ __forceinline__ float rcp_approx_f32(float x)
{
    float y;
    asm("rcp.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
    return y;
}

static __device__ __forceinline__ float from_f16(unsigned short bits)
{
    float value;
    asm("cvt.f32.f16 %0, %1;" : "=f"(value) : "h"(bits));
    return value;
}

static __device__ __forceinline__ unsigned short to_f16(float value)
{
    unsigned short bits;
    asm("cvt.rn.f16.f32 %0, %1;" : "=h"(bits) : "f"(value));
    return bits;
}

#endif

/* The larger; NaN if either is; the first at a tie, so that -0 stays. */
static __device__ __forceinline__ float nan_max_f32(float a, float b)
{
    return a < b || b != b ? b : a;
}

/* 2^n and p with exp(x) = 2^n p, 0 below -88.03 and infinity from 88.4 on. Every operation rounds the same on every device. `one`: its bits;
   those of 0.5 give half of 2^n, which reaches further. */
static __device__ __forceinline__ float exp_parts_f32(float x, float &power, int one = 0x3f800000)
{
    x = x < -88.0296936f ? -88.0296936f : x > 88.7228394f ? 88.7228394f : x;
    const float t = fmaf(x, 1.44269502f, 12582912.0f), n = t - 12582912.0f;
    const float r = fmaf(n, 1.90465421e-09f, fmaf(n, -0.693147182f, x));
    float p = fmaf(0.00138213218f, r, 0.00836866908f);
    p = fmaf(p, r, 0.0416682586f);
    p = fmaf(p, r, 0.166665211f);
    p = fmaf(p, r, 0.49999994f);
    p = fmaf(p, r, 1.0f);
    power = __int_as_float((int)((unsigned int)__float_as_int(t) << 23) + one);
    return fmaf(p, r, 1.0f);
}

/* a / b, rounded nearly right, for 1 <= b < 2^127.5; 0 from 2^126 on. The way of `/` around denormals is a good part of a kernel's code. */
static __device__ __forceinline__ float quotient_f32(float a, float b)
{
    const float r = rcp_approx_f32(b), q = a * r, rest = fmaf(-q, b, a);
    return copysignf(rest == rest ? fmaf(rest, r, q) : q, a); /* infinite a; -0 */
}

/* 1 + exp(x), at most 2^127.5. */
static __device__ __forceinline__ float one_plus_exp_f32(float x)
{
    float power;
    const float p = exp_parts_f32(x > 88.3f ? 88.3f : x, power);
    return fmaf(power, p, 1.0f);
}

/* x sigmoid(u), with two roundings after the exponential. */
static __device__ __forceinline__ float gate_f32(float x, float u)
{
    return quotient_f32(x, one_plus_exp_f32(-u));
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

static __device__ __forceinline__ void evaluate(float x, float mul, float &y)
{
    const float t0 = mul * gate_f32(nan_max_f32(x, -3.4028235e+38f), x);
    y = t0;
}

extern "C" __global__ void __launch_bounds__(256) kernel(
    const unsigned short *x,
    const unsigned short *mul,
    unsigned short *y,
    long long n)
{
    wait_for_previous_grid(); /* before anything is read or written */
    let_next_grid_start();
    /* `head` elements up to a vector's border, then `full` vectors; the rest, or all where pointers disagree, one by one. */
    const long long head = elements_to_border(x, 16, 2);
    const bool aligned = is_aligned(x + head, 16) && is_aligned(mul + head, 16) && is_aligned(y + head, 16);
    const long long full = aligned && n > head ? (n - head) / 8 : 0;
    const f16x8 *const x_vectors = (const f16x8 *)(x + head);
    const f16x8 *const mul_vectors = (const f16x8 *)(mul + head);
    f16x8 *const y_vectors = (f16x8 *)(y + head);
    const long long step = (long long)gridDim.x * 256;
    long long first = (long long)blockIdx.x * 256 + threadIdx.x;
    __shared__ __align__(128) f16x8 x_stage[2][256];
    __shared__ __align__(128) f16x8 mul_stage[2][256];
    int stage = 0;
    /* Each thread copies what it reads itself, so that waiting for its own copies is enough. */
    for (int s = 0; s < 1; s++) {
#pragma unroll
        for (int k = 0; k < 1; k++) {
            const long long next = first + s * step + k * 256;
            if (next < full) {
                copy_async_16(&x_stage[s][k * 256 + threadIdx.x], &x_vectors[next]);
                copy_async_16(&mul_stage[s][k * 256 + threadIdx.x], &mul_vectors[next]);
            }
        }
        copy_async_commit();
    }
    for (; first < full; first += step) {
        const int ahead = stage == 0 ? 1 : stage - 1;
#pragma unroll
        for (int k = 0; k < 1; k++) {
            const long long next = first + 1 * step + k * 256;
            if (next < full) {
                copy_async_16(&x_stage[ahead][k * 256 + threadIdx.x], &x_vectors[next]);
                copy_async_16(&mul_stage[ahead][k * 256 + threadIdx.x], &mul_vectors[next]);
            }
        }
        copy_async_commit();
        copy_async_wait_1(); /* all but the newest 1 */
        f16x8 x_in[1];
        f16x8 mul_in[1];
#pragma unroll
        for (int k = 0; k < 1; k++) {
            x_in[k] = x_stage[stage][k * 256 + threadIdx.x];
            mul_in[k] = mul_stage[stage][k * 256 + threadIdx.x];
        }
        stage = stage == 1 ? 0 : stage + 1;
#pragma unroll
        for (int k = 0; k < 1; k++) {
            const long long v = first + k * 256;
            f16x8 y_out;
#pragma unroll
            for (int e = 0; e < 8; e++) {
                const float x_value = from_f16(x_in[k].v[e]);
                const float mul_value = from_f16(mul_in[k].v[e]);
                float y_value;
                evaluate(x_value, mul_value, y_value);
                y_out.v[e] = to_f16(y_value);
            }
            y_vectors[v] = y_out;
        }
    }
#pragma unroll 1
    for (long long r = (long long)blockIdx.x * 256 + threadIdx.x; r < n - full * 8; r += (long long)gridDim.x * 256) {
        const long long i = r < head || full == 0 ? r : r + full * 8;
        const float x_value = from_f16(x[i]);
        const float mul_value = from_f16(mul[i]);
        float y_value;
        evaluate(x_value, mul_value, y_value);
        y[i] = to_f16(y_value);
    }
}
