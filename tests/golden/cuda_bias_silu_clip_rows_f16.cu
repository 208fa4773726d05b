// Made by actune from templates/cuda/channel_inner: bias | silu | clip(0, 10) (forward, f16 to f16)
// block=256 vector=16 vectors=4 grid=stride copy=direct stages=1 load=no_allocate store=cs min_blocks=0 tail=peeled math=exact restrict=yes dependent=no
/* One instruction each; the tests' CPU emulation brings its own. */
#ifndef ACTUNE_EMULATED
struct __align__(16) bytes_16 {
    unsigned int word[4];
};

static __device__ __forceinline__ bytes_16 load_16(const void *from)
{
    bytes_16 to;
    asm volatile("ld.global.nc.L1::no_allocate.v4.u32 {%0, %1, %2, %3}, [%4];" : "=r"(to.word[0]), "=r"(to.word[1]), "=r"(to.word[2]), "=r"(to.word[3]) : "l"(from));
    return to;
}

static __device__ __forceinline__ void store_16(void *to, bytes_16 from)
{
    asm volatile("st.global.cs.v4.u32 [%0], {%1, %2, %3, %4};" ::"l"(to), "r"(from.word[0]), "r"(from.word[1]), "r"(from.word[2]), "r"(from.word[3]) : "memory");
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

/* Without a 64-bit division, whose code takes NVRTC as long as a whole kernel: bit by bit where 32 bits do not hold it. */
static __device__ __forceinline__ int remainder_of(long long i, int n)
{
    const unsigned int high = (unsigned int)(i >> 32), low = (unsigned int)i, divisor = (unsigned int)n;
    if (high == 0)
        return (int)(low % divisor);
    unsigned int rest = high % divisor;
#pragma unroll 1
    for (int bit = 31; bit >= 0; bit--) {
        rest = rest << 1 | (low >> bit & 1);
        rest -= rest >= divisor ? divisor : 0;
    }
    return (int)rest;
}

/* i modulo n, for i < 2 n. */
static __device__ __forceinline__ int wrap(int i, int n)
{
    return i >= n ? i - n : i;
}

/* 8 elements of f16 as they lie in memory. */
union __align__(16) f16x8 {
    unsigned short v[8];
    bytes_16 bytes;
};

/* 8 channels of an operand. */
struct __align__(16) operandx8 {
    float v[8];
};

static __device__ __forceinline__ void evaluate(float x, float bias, float &y)
{
    const float t0 = x + bias;
    const float t1 = gate_f32(nan_max_f32(t0, -3.4028235e+38f), t0);
    y = (t1 < 0.0f) ? 0.0f : ((t1 > 10.0f) ? 10.0f : t1);
}

extern "C" __global__ void __launch_bounds__(256) kernel(
    const unsigned short *__restrict__ x,
    const float *__restrict__ bias,
    unsigned short *__restrict__ y,
    long long rows, int channels)
{
    const long long n = rows * channels;
    /* `head` elements up to a vector's border, then `full` vectors; the rest, or all where pointers disagree, one by one. */
    const long long head = elements_to_border(x, 16, 2);
    const bool aligned = channels >= 8 && is_aligned(x + head, 16) && is_aligned(y + head, 16);
    const long long full = aligned && n > head ? (n - head) / 8 : 0;
    const f16x8 *const x_vectors = (const f16x8 *)(x + head);
    f16x8 *const y_vectors = (f16x8 *)(y + head);
    const long long step = (long long)gridDim.x * 1024;
    long long first = (long long)blockIdx.x * 1024 + threadIdx.x;
    /* The column of a thread's vectors is carried along instead of divided anew. */
    int column = remainder_of(head + first * 8, channels);
    const int vector_columns = 2048 % channels;
    const int step_columns = remainder_of(step * 8, channels);
    const bool operands_aligned = head == 0 && channels % 8 == 0 && is_aligned(bias, 16);
    for (; first < full; first += step) {
        f16x8 x_in[4];
#pragma unroll
        for (int k = 0; k < 4; k++) {
            const long long v = first + k * 256;
            if (v < full) {
                x_in[k].bytes = load_16(&x_vectors[v]);
            }
        }
        int column_here = column;
#pragma unroll
        for (int k = 0; k < 4; k++) {
            const long long v = first + k * 256;
            if (v >= full)
                break;
            operandx8 bias_here;
            if (operands_aligned) {
                bias_here = *(const operandx8 *)(bias + column_here);
            } else {
#pragma unroll
                for (int e = 0; e < 8; e++) {
                    const int c = wrap(column_here + e, channels);
                    bias_here.v[e] = bias[c];
                }
            }
            f16x8 y_out;
#pragma unroll
            for (int e = 0; e < 8; e++) {
                const float x_value = from_f16(x_in[k].v[e]);
                const float bias_value = bias_here.v[e];
                float y_value;
                evaluate(x_value, bias_value, y_value);
                y_out.v[e] = to_f16(y_value);
            }
            store_16(&y_vectors[v], y_out.bytes);
            column_here = wrap(column_here + vector_columns, channels);
        }
        column = wrap(column + step_columns, channels);
    }
#pragma unroll 1
    for (long long r = (long long)blockIdx.x * 256 + threadIdx.x; r < n - full * 8; r += (long long)gridDim.x * 256) {
        const long long i = r < head || full == 0 ? r : r + full * 8;
        const int c = remainder_of(i, channels);
        const float x_value = from_f16(x[i]);
        const float bias_value = bias[c];
        float y_value;
        evaluate(x_value, bias_value, y_value);
        y[i] = to_f16(y_value);
    }
}
