// Made by actune from templates/cuda/elementwise: prelu(alpha=learn) (backward, f16 to f16)
// block=256 vector=16 vectors=2 grid=stride copy=direct stages=1 load=none store=default min_blocks=0 tail=peeled math=exact restrict=yes dependent=no
/* One instruction each; the tests' CPU emulation brings its own. */
#ifndef ACTUNE_EMULATED
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

static __device__ __forceinline__ bool is_aligned(const void *pointer, int bytes)
{
    return (unsigned long long)pointer % bytes == 0;
}

/* The sum of a warp in lane 0, by one tree. */
static __device__ __forceinline__ double add_warp(double value)
{
    for (int apart = 16; apart > 0; apart /= 2)
        value += __shfl_down_sync(0xffffffff, value, apart);
    return value;
}

/* 8 elements of f16 as they lie in memory. */
struct __align__(16) f16x8 {
    unsigned short v[8];
};

static __device__ __forceinline__ void evaluate(float x, float dy, float alpha, float &dx, float &dalpha)
{
    const bool t0 = x > 0.0f;
    dx = t0 ? dy : (dy * alpha);
    dalpha = t0 ? 0.0f : (x * dy);
}

/* 1024 virtual lanes whatever the block: thread t has the lanes t, t + 256 ... A tree in each warp, then one over the 32 warps: the bits
   of a sum do not depend on the block size. Every thread of the block must call it; the sum is thread 0's. */
static __device__ double add_lanes(const double *own, double *warps)
{
    for (int k = 0; k < 4; k++) {
        const double sum = add_warp(own[k]);
        if (threadIdx.x % 32 == 0)
            warps[(threadIdx.x + k * 256) / 32] = sum;
    }
    __syncthreads();
    const double sum = threadIdx.x < 32 ? add_warp(warps[threadIdx.x]) : 0;
    __syncthreads(); /* before the warps' sums are written again */
    return sum;
}

/* Chunks of at most 16384 elements, cut by the shape; a chunk's sums go to partial[chunk][sum]. A thread has whole units of 8 elements, in
   which it adds in order. */
extern "C" __global__ void __launch_bounds__(256) kernel(
    const unsigned short *__restrict__ x,
    const unsigned short *__restrict__ dy,
    const float *__restrict__ alpha,
    unsigned short *__restrict__ dx,
    long long n, double *__restrict__ partial)
{
    const float alpha_value = alpha[0];
    __shared__ double warps[32];
    const long long chunks = (n + 16383) / 16384;
    for (long long chunk = blockIdx.x; chunk < chunks; chunk += gridDim.x) {
        const long long begin = chunk * 16384, limit = n;
        const int count = limit - begin < 16384 ? (int)(limit - begin) : 16384;
        const bool aligned = is_aligned(x + begin, 16) && is_aligned(dy + begin, 16) && is_aligned(dx + begin, 16);
        const f16x8 *const x_vectors = (const f16x8 *)(x + begin);
        const f16x8 *const dy_vectors = (const f16x8 *)(dy + begin);
        f16x8 *const dx_vectors = (f16x8 *)(dx + begin);
        float lane_sum[1][4] = {};
        for (int round = 0; round < 8 && round * 2048 < count; round += 4) {
#pragma unroll
            for (int j = 0; j < 4; j += 2) {
                f16x8 x_in[2] = {};
                f16x8 dy_in[2] = {};
#pragma unroll
                for (int k = 0; k < 2; k++) {
                    const int v = (round + j + k) * 256 + threadIdx.x;
                    if (aligned && (v + 1) * 8 <= count) {
                        x_in[k] = x_vectors[v];
                        dy_in[k] = dy_vectors[v];
                    } else {
                        for (int e = 0; e < 8 && v * 8 + e < count; e++) {
                            x_in[k].v[e] = x[begin + v * 8 + e];
                            dy_in[k].v[e] = dy[begin + v * 8 + e];
                        }
                    }
                }
#pragma unroll
                for (int k = 0; k < 2; k++) {
                    const int v = (round + j + k) * 256 + threadIdx.x;
                    f16x8 dx_out;
#pragma unroll
                    for (int e = 0; e < 8; e++) {
                        const float x_value = from_f16(x_in[k].v[e]);
                        const float dy_value = from_f16(dy_in[k].v[e]);
                        float dx_value, dalpha_value;
                        evaluate(x_value, dy_value, alpha_value, dx_value, dalpha_value);
                        dx_out.v[e] = to_f16(dx_value);
                        lane_sum[0][(j + k) % 4] += v * 8 + e < count ? dalpha_value : 0;
                    }
                    if (aligned && (v + 1) * 8 <= count) {
                        dx_vectors[v] = dx_out;
                    } else {
                        for (int e = 0; e < 8 && v * 8 + e < count; e++) {
                            dx[begin + v * 8 + e] = dx_out.v[e];
                        }
                    }
                }
            }
        }
#pragma unroll
        for (int s = 0; s < 1; s++) {
            double own[4];
#pragma unroll
            for (int k = 0; k < 4; k++)
                own[k] = lane_sum[s][k];
            const double sum = add_lanes(own, warps);
            if (threadIdx.x == 0)
                partial[chunk * 1 + s] = sum;
        }
    }
}

/* Adds the partial sums in a fixed order, after the kernel above. A block a result; `inside` chunks belong to one plane (here: the one there is). */
extern "C" __global__ void __launch_bounds__(256) kernel_finish(
    float *__restrict__ dalpha,
    const double *__restrict__ partial, long long chunks, int channels, long long inside)
{
    __shared__ double warps[32];
    double own[4];
    const int result = blockIdx.x;
    if (result == 0) { /* one value: all chunks */
        for (int k = 0; k < 4; k++) {
            own[k] = 0;
            for (long long i = threadIdx.x + k * 256; i < chunks; i += 1024)
                own[k] += partial[i * 1 + 0];
        }
        const double sum = add_lanes(own, warps);
        if (threadIdx.x == 0)
            dalpha[0] = (float)sum;
    }
}
