// Made by actune from templates/cuda/elementwise: relu (forward, f32 to f32)
// block=256 vector=16 vectors=1 grid=exact copy=direct stages=1 load=none store=default min_blocks=0 tail=peeled math=exact restrict=yes dependent=no
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

/* 4 elements of f32 as they lie in memory. */
struct __align__(16) f32x4 {
    float v[4];
};

static __device__ __forceinline__ void evaluate(float x, float &y)
{
    y = nan_max_f32(x, 0.0f);
}

extern "C" __global__ void __launch_bounds__(256) kernel(
    const float *__restrict__ x,
    float *__restrict__ y,
    long long n)
{
    /* `head` elements up to a vector's border, then `full` vectors; the rest, or all where pointers disagree, one by one. */
    const long long head = elements_to_border(x, 16, 4);
    const bool aligned = is_aligned(x + head, 16) && is_aligned(y + head, 16);
    const long long full = aligned && n > head ? (n - head) / 4 : 0;
    const f32x4 *const x_vectors = (const f32x4 *)(x + head);
    f32x4 *const y_vectors = (f32x4 *)(y + head);
    const long long first = (long long)blockIdx.x * 256 + threadIdx.x;
    if (first < full) {
        f32x4 x_in[1];
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
            f32x4 y_out;
#pragma unroll
            for (int e = 0; e < 4; e++) {
                const float x_value = x_in[k].v[e];
                float y_value;
                evaluate(x_value, y_value);
                y_out.v[e] = y_value;
            }
            y_vectors[v] = y_out;
        }
    }
#pragma unroll 1
    for (long long r = (long long)blockIdx.x * 256 + threadIdx.x; r < n - full * 4; r += (long long)gridDim.x * 256) {
        const long long i = r < head || full == 0 ? r : r + full * 4;
        const float x_value = x[i];
        float y_value;
        evaluate(x_value, y_value);
        y[i] = y_value;
    }
}
