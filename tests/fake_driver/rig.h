/* What the tests of the CUDA back end on the fake driver share: the two libraries and their controls, and kernels ready to be launched. */
#ifndef AT_TESTS_FAKE_RIG_H
#define AT_TESTS_FAKE_RIG_H

#include "codegen/emit_cuda.h"
#include "runtime/backend/cuda_launch.h"
#include "runtime/backend/cuda_memory.h"
#include "runtime/backend/cuda_time.h"
#include "runtime/backend/cuda_workspace.h"

#include <stdio.h>

extern int rig_failures;
#define CHECK(condition, ...)                                                    \
    do {                                                                         \
        if (!(condition)) {                                                      \
            rig_failures++;                                                      \
            printf("%s:%d: %s: ", __FILE__, __LINE__, #condition);               \
            printf(__VA_ARGS__);                                                 \
            printf(" [%s]\n", actune_last_error());                              \
        }                                                                        \
    } while (0)
#define CHECK_OK(call) CHECK((call) == ACTUNE_OK, "must succeed")

/* The controls of one fake library (fake_calls.h). */
typedef struct rig_library {
    void (*fail)(const char *name, int nth, int code);
    int (*failed)(void);
    const char *(*call_name)(int index);
    int (*call_count)(int index);
} rig_library;

extern rig_library rig_cuda, rig_nvrtc, rig_cudnn; /* rig_cudnn: after rig_open_cudnn */
extern char rig_folder[64]; /* scratch; removed by rig_close */

/* Points the back end at the fakes. False: the emulation does not work here (no clang). */
bool rig_open(void);
void rig_open_cudnn(void); /* before the back end looks for cuDNN; until then there is none */
void rig_close(void);
int rig_count(const rig_library *library, const char *name); /* of calls so far */
/* The driver's and cuDNN's lists of mistakes and leaks must be empty, and NVRTC's programs gone. `what` was done before. */
void rig_check_clean(const char *what);
const char *rig_report(void);
int rig_living(void);
void rig_mend(void); /* after a kernel's failure */

typedef struct rig_kernel {
    at_kernel kernel;
    at_layout layout;
    at_variant variant;
    at_strbuf source;
    at_cuda_geometry geometry;
    const at_cuda_device *device;
    at_cuda_kernel *built;
} rig_kernel;

/* Default variant with `knobs` ("name=value ..."; NULL) set. `gradient` NULL: forward. Ends the program when the text cannot be made. */
void rig_kernel_make(rig_kernel *k, const char *spec, const char *gradient, actune_dtype dtype, at_layout layout, const char *knobs);
actune_status rig_kernel_build(rig_kernel *k, const at_cuda_device *device, at_cache *cache);
void rig_kernel_unload(rig_kernel *k);
void rig_kernel_clear(rig_kernel *k);
actune_status rig_launch_of(const rig_kernel *k, actune_shape shape, at_cuda_launch *launch);
/* For at_verify_target.run: `user` is a rig_kernel. Ports go to device memory of the same alignment, and back. */
actune_status rig_run(void *user, actune_shape shape, void *const *port);

#endif
