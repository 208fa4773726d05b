// Made by actune from templates/cuda/elementwise: relu (forward, i8 to i8)
// block=256 vector=16 vectors=1 grid=stride copy=direct stages=1 load=none store=default min_blocks=0 tail=peeled math=table restrict=yes dependent=no
static __device__ __forceinline__ bool is_aligned(const void *pointer, int bytes)
{
    return (unsigned long long)pointer % bytes == 0;
}

/* Elements of `bytes` bytes up to the next multiple of `align`. */
static __device__ __forceinline__ int elements_to_border(const void *pointer, int align, int bytes)
{
    return (int)(-(unsigned long long)pointer % align) / bytes;
}

/* 16 elements of i8 as they lie in memory. */
struct __align__(16) i8x16 {
    unsigned char v[16];
};

/* The code of y for each code of x, four a word: the pipeline as a whole, computed when this was written. */
static __device__ const unsigned int codes[64] = {
    0x03020100, 0x07060504, 0x0b0a0908, 0x0f0e0d0c, 0x13121110, 0x17161514, 0x1b1a1918, 0x1f1e1d1c,
    0x23222120, 0x27262524, 0x2b2a2928, 0x2f2e2d2c, 0x33323130, 0x37363534, 0x3b3a3938, 0x3f3e3d3c,
    0x43424140, 0x47464544, 0x4b4a4948, 0x4f4e4d4c, 0x53525150, 0x57565554, 0x5b5a5958, 0x5f5e5d5c,
    0x63626160, 0x67666564, 0x6b6a6968, 0x6f6e6d6c, 0x73727170, 0x77767574, 0x7b7a7978, 0x7f7e7d7c,
    0x00000000, 0x00000000, 0x00000000, 0x00000000, 0x00000000, 0x00000000, 0x00000000, 0x00000000,
    0x00000000, 0x00000000, 0x00000000, 0x00000000, 0x00000000, 0x00000000, 0x00000000, 0x00000000,
    0x00000000, 0x00000000, 0x00000000, 0x00000000, 0x00000000, 0x00000000, 0x00000000, 0x00000000,
    0x00000000, 0x00000000, 0x00000000, 0x00000000, 0x00000000, 0x00000000, 0x00000000, 0x00000000,
};

/* A copy for each lane of a warp, so that no two lanes meet in a bank. */
__shared__ unsigned int table[64 * 32];

static __device__ __forceinline__ void evaluate(const unsigned char x, unsigned char &y)
{
    const unsigned int at = (x & 0xfc) << 5 | (threadIdx.x & 31) << 2 | (x & 3);
    y = ((const unsigned char *)table)[at];
}

extern "C" __global__ void __launch_bounds__(256) kernel(
    const unsigned char *__restrict__ x,
    unsigned char *__restrict__ y,
    long long n)
{
    for (int i = threadIdx.x; i < 2048; i += 256)
        table[i] = codes[i / 32];
    __syncthreads();
    /* `head` elements up to a vector's border, then `full` vectors; the rest, or all where pointers disagree, one by one. */
    const long long head = elements_to_border(x, 16, 1);
    const bool aligned = is_aligned(x + head, 16) && is_aligned(y + head, 16);
    const long long full = aligned && n > head ? (n - head) / 16 : 0;
    const i8x16 *const x_vectors = (const i8x16 *)(x + head);
    i8x16 *const y_vectors = (i8x16 *)(y + head);
    const long long step = (long long)gridDim.x * 256;
    long long first = (long long)blockIdx.x * 256 + threadIdx.x;
    for (; first < full; first += step) {
        i8x16 x_in[1];
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
            i8x16 y_out;
#pragma unroll
            for (int e = 0; e < 16; e++) {
                const unsigned char x_value = x_in[k].v[e];
                unsigned char y_value;
                evaluate(x_value, y_value);
                y_out.v[e] = y_value;
            }
            y_vectors[v] = y_out;
        }
    }
#pragma unroll 1
    for (long long r = (long long)blockIdx.x * 256 + threadIdx.x; r < n - full * 16; r += (long long)gridDim.x * 256) {
        const long long i = r < head || full == 0 ? r : r + full * 16;
        const unsigned char x_value = x[i];
        unsigned char y_value;
        evaluate(x_value, y_value);
        y[i] = y_value;
    }
}
