/* actune and DLPack: tensors of other libraries in, and out.

   In: a tensor of NumPy, PyTorch, JAX ... becomes an `actune_tensor`: a buffer, its shape as kernels see it, and the order in which its
   axes lie in memory. Dense permutations are understood: a channels-last tensor [N, C, H, W] is {N, C, H*W, .channels_last}.

       actune_tensor x, y;
       actune_tensor_import(managed_x, ACTUNE_DLPACK_VERSIONED, ACTUNE_AXIS_SECOND, &x);
       actune_tensor_import(managed_y, ACTUNE_DLPACK_VERSIONED, ACTUNE_AXIS_SECOND, &y);
       actune_plan_desc desc = {.spec = "relu", .dtype_in = x.buffer.dtype, .dtype_out = y.buffer.dtype, .shape = x.shape};
       ...
       actune_execute_tensors(plan, (const actune_tensor *[]){&x, &y}, 2, NULL, NULL);

   The structures are those of DLPack 1.x (DLTensor, DLManagedTensor, DLManagedTensorVersioned), passed as `const void *`, so that this header
   goes with any copy of dlpack.h, or none. Errors, messages and threads: as in actune.h. */
#ifndef ACTUNE_DLPACK_H
#define ACTUNE_DLPACK_H

#include <actune/actune.h>

#ifdef __cplusplus
extern "C" {
#endif

enum { ACTUNE_RANK_MAX = 8 };

/* Which of DLPack's structures a pointer points to. */
typedef enum actune_dlpack {
    ACTUNE_DLPACK_TENSOR = 0,   /* DLTensor */
    ACTUNE_DLPACK_MANAGED = 1,  /* DLManagedTensor, of before 1.0 (capsules named "dltensor") */
    ACTUNE_DLPACK_VERSIONED = 2 /* DLManagedTensorVersioned (capsules named "dltensor_versioned") */
} actune_dlpack;

/* Which axis of the tensor the channels are, as its library counts axes. */
typedef enum actune_axis {
    ACTUNE_AXIS_NONE = 0,   /* no channels: {1, 1, n} */
    ACTUNE_AXIS_SECOND = 1, /* images: [N, C, H, W], whatever lies innermost in memory; rank 2 and more */
    ACTUNE_AXIS_LAST = 2    /* tokens, rows: [..., features]; a tensor of rank 1 is one row */
} actune_axis;

typedef struct actune_tensor {
    actune_buffer buffer; /* the first element, byte_offset included */
    actune_shape shape;
    bool is_cuda;         /* device memory of the CUDA device `device` */
    int device;
    bool read_only;       /* DLPack's flag: no output of an execution */
    int rank;
    int64_t extent[ACTUNE_RANK_MAX]; /* as its library has them */
    int order[ACTUNE_RANK_MAX];      /* axes from the outermost in memory to the innermost; those of extent 1 do not count and stand last */
} actune_tensor;

/* Reads a tensor; takes no ownership: it must live as long as `out` is used, and its deleter is the caller's to call.
   Errors: INVALID_ARGUMENT (NULL; a rank over 8; strides that leave gaps, repeat elements or go backwards: copy it; no such channel axis;
   data not aligned to its type), UNSUPPORTED (another major version of DLPack, an element type or a kind of memory that kernels do not
   take: CPU, CUDA, CUDA host and CUDA managed memory are taken). Any thread. */
ACTUNE_API actune_status actune_tensor_import(const void *dlpack, actune_dlpack kind, actune_axis channels, actune_tensor *out);

/* actune_execute_on with tensors in place of buffers, one per port in port order. Also checked: all are on the plan's device, outputs are not
   read-only, and tensors of x's size lie in memory in the same order as x (else elements would be paired wrongly). Errors: those of
   actune_execute_on; INVALID_ARGUMENT names the port. */
ACTUNE_API actune_status actune_execute_tensors(const actune_plan *plan, const actune_tensor *const *tensors, int count, void *stream,
                                                void *workspace);

/* Hands memory of the caller's to another library: makes a DLManagedTensorVersioned (or DLManagedTensor), row-major with the given extents. Who
   takes it calls its deleter, from any thread, which calls `release(user)` (NULL: nothing) and frees the structure.
   Errors: INVALID_ARGUMENT (kind TENSOR, a rank over 8, a negative extent, fewer elements in the buffer than the extents ask for), UNSUPPORTED
   (DLManagedTensor cannot say that a tensor is read-only), NO_MEMORY. */
typedef struct actune_tensor_export_desc {
    actune_buffer buffer;
    const int64_t *extent;
    int rank;
    bool is_cuda;
    int device;
    bool read_only;
    void (*release)(void *user);
    void *user;
} actune_tensor_export_desc;
ACTUNE_API actune_status actune_tensor_export(const actune_tensor_export_desc *desc, actune_dlpack kind, void **dlpack);

#ifdef __cplusplus
}
#endif
#endif
