/* A loaded CUDA kernel made ready for one shape: grid, arguments, workspace. Shared by plan, tuner and verification. */
#ifndef AT_RUNTIME_LAUNCH_CUDA_H
#define AT_RUNTIME_LAUNCH_CUDA_H

#include "../codegen/emit_cuda.h"
#include "backend/cuda_launch.h"

/* `geometry` is that of the variant that `built` was made from; both kernels must outlive the launch. INVALID_ARGUMENT for a shape that is
   none, UNSUPPORTED where the grid or the block is more than the device takes, DEVICE. */
actune_status at_cuda_launch_init(at_cuda_launch *launch, const at_cuda_kernel *built, const at_kernel *kernel, at_layout layout,
                                  actune_shape shape, const at_cuda_geometry *geometry);

#endif
