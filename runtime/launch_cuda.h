/* A loaded CUDA kernel made ready for one shape: grid, arguments, workspace. Shared by plan, tuner and verification. */
#ifndef AT_RUNTIME_LAUNCH_CUDA_H
#define AT_RUNTIME_LAUNCH_CUDA_H

#include "../codegen/emit_cuda.h"
#include "backend/cuda_launch.h"
#include "launch.h"
#include "base/chunk.h"

/* What stands behind the pointers in the arguments of the kernel and of the one that finishes its sums, as emit_cuda.h lists them. */
void at_cuda_extents_fill(const at_signature *signature, at_layout layout, actune_shape shape, at_cuda_extents *extents, at_cuda_extents *finish);

/* `geometry` is that of the variant that `built` was made from; both kernels must outlive the launch. INVALID_ARGUMENT for a shape that is
   none, UNSUPPORTED where the grid or the block is more than the device takes, DEVICE. */
actune_status at_cuda_launch_init(at_cuda_launch *launch, const at_cuda_kernel *built, const at_kernel *kernel, at_layout layout,
                                  actune_shape shape, const at_cuda_geometry *geometry);

#endif
