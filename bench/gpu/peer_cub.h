/* The C interface of peer_cub.cu's shared object. */
#ifndef AT_BENCH_GPU_PEER_CUB_H
#define AT_BENCH_GPU_PEER_CUB_H

#ifdef __cplusplus
extern "C" {
#endif

enum gpu_cub_type { GPU_CUB_F32, GPU_CUB_F16, GPU_CUB_BF16 };

/* Puts y = op(x) (with two inputs, op(x, other)) on the stream; `other` is not read by the rest. 0, a cudaError_t, or -1 for an operation
   that is not there. Names: relu, leaky_relu, elu, sigmoid, tanh, silu, gelu, gelu_tanh, "clip(0, 6)", hardswish, mish, identity, "add | relu",
   "silu | mul". */
int gpu_cub_transform(const char *op, enum gpu_cub_type type, const void *x, const void *other, void *y, long long n, void *stream);
int gpu_cub_knows(const char *op, enum gpu_cub_type type);

#ifdef __cplusplus
}
#endif
#endif
