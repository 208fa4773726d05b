/* What stands behind the CUDA functions of an exported library: which code for this device, loaded once, launched on a stream. */
#ifndef AT_EXPORTED_CUDA_H
#define AT_EXPORTED_CUDA_H

#include "../../runtime/launch_cuda.h"
#include "exported.h"

#include <pthread.h>

enum { AT_EXPORTED_DEVICES_MAX = 64 };

/* One variant compiled for one architecture. */
typedef struct at_exported_code {
    const char *symbol;
    const unsigned char *packed; /* cubin or PTX, see expand.h */
    size_t packed_bytes, bytes;
    at_cuda_geometry geometry;
    bool finish;               /* there is a <symbol>_finish */
} at_exported_code;

/* Of `ptx` the driver makes code for newer devices, of the others it takes those of one generation: 8.0's for 8.6. */
typedef struct at_exported_arch {
    int arch; /* 90: compute capability 9.0 */
    bool ptx;
    const at_exported_code *variant;
    int variants;
    const unsigned char *table;
} at_exported_arch;

typedef struct at_exported_device at_exported_device;

typedef struct at_exported_cuda {
    const char *wanted;           /* architectures, for the message of a device that none of them runs on */
    const at_exported_arch *arch; /* newest first, cubins before PTX */
    int archs;
    pthread_mutex_t lock;         /* around opening a device and loading code */
    at_exported_device *_Atomic device[AT_EXPORTED_DEVICES_MAX];
} at_exported_cuda;

/* Puts the function on `stream` and returns. Once its code is loaded (at_exported_cuda_prewarm, or a first call): no lock, no allocation, no
   synchronisation, allowed in a capture. `workspace`: at_exported_cuda_workspace bytes of device memory, 256-byte aligned, that nothing else uses until
   the stream has passed. INVALID_ARGUMENT (as at_exported_run; a workspace that is missing), UNSUPPORTED (device, shape), NO_MEMORY, DEVICE. */
actune_status at_exported_cuda_run(at_exported_cuda *cuda, at_exported_function *function, int device, void *const *ports, actune_shape shape,
                                   void *workspace, void *stream);
/* 0 for a shape that is none. */
size_t at_exported_cuda_workspace(const at_exported_function *function, actune_shape shape);
/* Loads all code for a device. */
actune_status at_exported_cuda_prewarm(at_exported_cuda *cuda, int device);
/* Unloads it. Nothing else may run. */
void at_exported_cuda_release(at_exported_cuda *cuda);

#endif
