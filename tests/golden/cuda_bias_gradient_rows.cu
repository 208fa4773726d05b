// Made by actune from templates/cuda/channel_inner: bias | relu (backward, f32 to f32)
// block=256 vector=16 vectors=4 grid=stride copy=direct stages=1 load=none store=default min_blocks=0 tail=peeled math=exact restrict=yes dependent=no
static __device__ __forceinline__ bool is_aligned(const void *pointer, int bytes)
{
    return (unsigned long long)pointer % bytes == 0;
}

/* 4 elements of f32 as they lie in memory. */
struct __align__(16) f32x4 {
    float v[4];
};

static __device__ __forceinline__ void evaluate(float x, float dy, float bias, float &dx, float &dbias)
{
    const float t0 = ((x + bias) <= 0.0f) ? 0.0f : dy;
    dx = t0;
    dbias = t0;
}

/* NHWC and tokens. A chunk is `rows_per_chunk` rows; a thread adds 16 rows of 4 channels in order, then the row blocks of a channel are
   added in order; a chunk's sums go to partial[chunk][sum][channel]. */
extern "C" __global__ void __launch_bounds__(256) kernel(
    const float *__restrict__ x,
    const float *__restrict__ dy,
    const float *__restrict__ bias,
    float *__restrict__ dx,
    long long rows, int channels, double *__restrict__ partial)
{
    __shared__ float block_sum[1][1024]; /* [row block * channels + channel]; one row block needs none */
    const int fit = 16384 / channels / 16 * 16, rows_per_chunk = fit > 16 ? fit : 16;
    const int columns = (channels + 3) / 4;
    const long long chunks = (rows + rows_per_chunk - 1) / rows_per_chunk;
    const bool aligned = channels % 4 == 0 && is_aligned(x, 16) && is_aligned(dy, 16) && is_aligned(dx, 16);
    for (long long chunk = blockIdx.x; chunk < chunks; chunk += gridDim.x) {
        const long long begin = chunk * rows_per_chunk;
        const int height = rows - begin < rows_per_chunk ? (int)(rows - begin) : rows_per_chunk;
        const int row_blocks = (height + 15) / 16;
        for (int item = threadIdx.x; item < row_blocks * columns; item += 256) {
            const int row_block = item / columns, column = (item - row_block * columns) * 4;
            const int row_end = row_block * 16 + 16 < height ? row_block * 16 + 16 : height;
            float sum[1][4] = {};
            for (int row = row_block * 16; row < row_end; row += 4) {
                f32x4 x_in[4] = {};
                f32x4 dy_in[4] = {};
#pragma unroll
                for (int k = 0; k < 4; k++) {
                    const long long i = (begin + row + k) * channels + column;
                    if (row + k < row_end && aligned) {
                        x_in[k] = *(const f32x4 *)(x + i);
                        dy_in[k] = *(const f32x4 *)(dy + i);
                    } else if (row + k < row_end) {
                        for (int e = 0; e < 4 && column + e < channels; e++) {
                            x_in[k].v[e] = x[i + e];
                            dy_in[k].v[e] = dy[i + e];
                        }
                    }
                }
#pragma unroll
                for (int k = 0; k < 4; k++) {
                    if (row + k >= row_end)
                        break;
                    const long long i = (begin + row + k) * channels + column;
                    f32x4 dx_out;
#pragma unroll
                    for (int e = 0; e < 4; e++) {
                        const float x_value = x_in[k].v[e];
                        const float dy_value = dy_in[k].v[e];
                        const float bias_value = column + e < channels ? bias[column + e] : 0;
                        float dx_value, dbias_value;
                        evaluate(x_value, dy_value, bias_value, dx_value, dbias_value);
                        dx_out.v[e] = dx_value;
                        sum[0][e] += dbias_value;
                    }
                    if (aligned) {
                        *(f32x4 *)(dx + i) = dx_out;
                    } else {
                        for (int e = 0; e < 4 && column + e < channels; e++) {
                            dx[i + e] = dx_out.v[e];
                        }
                    }
                }
            }
#pragma unroll
            for (int e = 0; e < 4; e++) {
                if (column + e < channels) {
#pragma unroll
                    for (int s = 0; s < 1; s++) {
                        if (rows_per_chunk > 16)
                            block_sum[s][row_block * channels + column + e] = sum[s][e];
                        else
                            partial[(chunk * 1 + s) * channels + column + e] = sum[s][e];
                    }
                }
            }
        }
        if (rows_per_chunk > 16) {
            __syncthreads();
            for (int c = threadIdx.x; c < channels; c += 256) {
                for (int s = 0; s < 1; s++) {
                    double total = 0;
                    for (int b = 0; b < row_blocks; b++)
                        total += block_sum[s][b * channels + c];
                    partial[(chunk * 1 + s) * channels + c] = total;
                }
            }
            __syncthreads(); /* before the next chunk's sums */
        }
    }
}

/* Adds the partial sums in a fixed order, after the kernel above: 32 channels a block, 32 lanes of chunks a channel. */
extern "C" __global__ void __launch_bounds__(256) kernel_finish(
    float *__restrict__ dbias,
    const double *__restrict__ partial, long long chunks, int channels, long long inside)
{
    __shared__ double lane_sum[32][32];
    const int own = threadIdx.x % 32, channel = blockIdx.x * 32 + own;
    (void)inside;
    for (int l = threadIdx.x / 32; l < 32; l += 8) {
        double sum = 0;
        for (long long chunk = l; channel < channels && chunk < chunks; chunk += 32)
            sum += partial[(chunk * 1 + 0) * channels + channel];
        lane_sum[l][own] = sum;
    }
    __syncthreads();
    if (threadIdx.x < 32 && channel < channels) {
        double sum = 0;
        for (int l = 0; l < 32; l++)
            sum += lane_sum[l][own];
        dbias[channel] = (float)sum;
    }
    __syncthreads(); /* before the next gradient's lanes */
}
