// Made by actune from templates/cuda/channel_outer: scale_shift | add | relu (forward, f32 to f32)
// block=256 vector=16 vectors=1 grid=stride copy=bulk stages=4 load=none store=default min_blocks=0 tail=peeled math=exact restrict=yes dependent=no
/* One instruction each; the tests' CPU emulation brings its own. */
#ifndef ACTUNE_EMULATED
static __device__ __forceinline__ void barrier_init(unsigned long long *barrier, int arrivals)
{
    asm volatile("mbarrier.init.shared.b64 [%0], %1;" ::"r"((unsigned int)__cvta_generic_to_shared(barrier)), "r"(arrivals) : "memory");
}

static __device__ __forceinline__ void barrier_init_fence()
{
    asm volatile("fence.proxy.async.shared::cta;" ::: "memory");
}

/* One arrival, and so many bytes to come. */
static __device__ __forceinline__ void barrier_expect(unsigned long long *barrier, int bytes)
{
    asm volatile("mbarrier.arrive.expect_tx.shared.b64 _, [%0], %1;" ::"r"((unsigned int)__cvta_generic_to_shared(barrier)), "r"(bytes) : "memory");
}

static __device__ __forceinline__ bool barrier_try(unsigned long long *barrier, unsigned int phase)
{
    unsigned int done;
    asm volatile("{\n .reg .pred p;\n mbarrier.try_wait.parity.shared.b64 p, [%1], %2;\n selp.u32 %0, 1, 0, p;\n}"
                 : "=r"(done)
                 : "r"((unsigned int)__cvta_generic_to_shared(barrier)), "r"(phase)
                 : "memory");
    return done;
}

static __device__ __forceinline__ void barrier_wait(unsigned long long *barrier, unsigned int phase)
{
    while (!barrier_try(barrier, phase)) {
    }
}

static __device__ __forceinline__ void copy_bulk(void *to_shared, const void *from, int bytes, unsigned long long *barrier)
{
    asm volatile("cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes [%0], [%1], %2, [%3];" ::"r"(
                     (unsigned int)__cvta_generic_to_shared(to_shared)),
                 "l"(from), "r"(bytes), "r"((unsigned int)__cvta_generic_to_shared(barrier))
                 : "memory");
}

#endif

/* The larger; NaN if either is; the first at a tie, so that -0 stays. */
static __device__ __forceinline__ float nan_max_f32(float a, float b)
{
    return a < b || b != b ? b : a;
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

/* Without a 64-bit division where 32 bits hold both. */
static __device__ __forceinline__ long long quotient_of(long long i, long long n)
{
    return (i | n) >> 32 ? i / n : (long long)((unsigned int)i / (unsigned int)n);
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

/* 4 elements of f32 as they lie in memory. */
struct __align__(16) f32x4 {
    float v[4];
};

static __device__ __forceinline__ void evaluate(float x, float scale, float shift, float add, float &y)
{
    const float t0 = add + fmaf(x, scale, shift);
    y = nan_max_f32(t0, 0.0f);
}

extern "C" __global__ void __launch_bounds__(256) kernel(
    const float *__restrict__ x,
    const float *__restrict__ scale,
    const float *__restrict__ shift,
    const float *__restrict__ add,
    float *__restrict__ y,
    long long planes, int channels, long long inner)
{
    const long long n = planes * inner;
    /* `head` elements up to a vector's border, then `full` vectors; the rest, or all where pointers disagree, one by one. */
    const long long head = elements_to_border(x, 16, 4);
    const bool aligned = inner >= 4 && is_aligned(x + head, 16) && is_aligned(add + head, 16) && is_aligned(y + head, 16);
    const long long full = aligned && n > head ? (n - head) / 1024 * 256 : 0; /* in whole tiles */
    const f32x4 *const x_vectors = (const f32x4 *)(x + head);
    const f32x4 *const add_vectors = (const f32x4 *)(add + head);
    f32x4 *const y_vectors = (f32x4 *)(y + head);
    const long long step = (long long)gridDim.x * 256;
    long long first = (long long)blockIdx.x * 256 + threadIdx.x;
    /* Channel and offset in the plane are carried along instead of divided anew. */
    const long long plane = quotient_of(head + first * 4, inner);
    long long offset = head + first * 4 - plane * inner;
    int channel = remainder_of(plane, channels);
    const long long step_planes = quotient_of(step * 4, inner);
    const int step_channels = remainder_of(step_planes, channels);
    const long long step_offset = step * 4 - step_planes * inner;
    __shared__ __align__(128) f32x4 x_stage[4][256];
    __shared__ __align__(128) f32x4 add_stage[4][256];
    int stage = 0;
    __shared__ __align__(8) unsigned long long landed[4];
    unsigned int phase = 0;
    if (threadIdx.x == 0) {
        for (int s = 0; s < 4; s++)
            barrier_init(&landed[s], 1);
        barrier_init_fence();
        for (int s = 0; s < 4; s++) {
            const long long next = first + s * step;
            if (next >= full)
                break;
            barrier_expect(&landed[s], 8192);
            copy_bulk(x_stage[s], &x_vectors[next], 4096, &landed[s]);
            copy_bulk(add_stage[s], &add_vectors[next], 4096, &landed[s]);
        }
    }
    __syncthreads();
    for (; first < full; first += step) {
        barrier_wait(&landed[stage], phase);
        f32x4 x_in[1];
        f32x4 add_in[1];
#pragma unroll
        for (int k = 0; k < 1; k++) {
            x_in[k] = x_stage[stage][k * 256 + threadIdx.x];
            add_in[k] = add_stage[stage][k * 256 + threadIdx.x];
        }
        __syncthreads(); /* all have read the stage before it is filled again */
        if (threadIdx.x == 0 && first + 4 * step < full) {
            barrier_expect(&landed[stage], 8192);
            copy_bulk(x_stage[stage], &x_vectors[first + 4 * step], 4096, &landed[stage]);
            copy_bulk(add_stage[stage], &add_vectors[first + 4 * step], 4096, &landed[stage]);
        }
        stage = stage == 3 ? 0 : stage + 1;
        phase ^= stage == 0;
#pragma unroll
        for (int k = 0; k < 1; k++) {
            const long long v = first + k * 256;
            const int channel_next = wrap(channel + 1, channels); /* of the elements beyond the plane's end */
            const float scale_here = scale[channel], scale_next = scale[channel_next];
            const float shift_here = shift[channel], shift_next = shift[channel_next];
            f32x4 y_out;
#pragma unroll
            for (int e = 0; e < 4; e++) {
                const float x_value = x_in[k].v[e];
                const float scale_value = offset + e < inner ? scale_here : scale_next;
                const float shift_value = offset + e < inner ? shift_here : shift_next;
                const float add_value = add_in[k].v[e];
                float y_value;
                evaluate(x_value, scale_value, shift_value, add_value, y_value);
                y_out.v[e] = y_value;
            }
            y_vectors[v] = y_out;
        }
        offset += step_offset;
        channel = wrap(channel + step_channels + (offset >= inner), channels);
        offset -= offset >= inner ? inner : 0;
    }
#pragma unroll 1
    for (long long r = (long long)blockIdx.x * 256 + threadIdx.x; r < n - full * 4; r += (long long)gridDim.x * 256) {
        const long long i = r < head || full == 0 ? r : r + full * 4;
        const int c = remainder_of(quotient_of(i, inner), channels);
        const float x_value = x[i];
        const float scale_value = scale[c];
        const float shift_value = shift[c];
        const float add_value = add[i];
        float y_value;
        evaluate(x_value, scale_value, shift_value, add_value, y_value);
        y[i] = y_value;
    }
}
