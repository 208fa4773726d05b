/* cuDNN's functions among the candidates of a kernel: offered beside the templates' variants, verified and timed like them. */
#ifndef AT_TUNER_CANDIDATES_CUDNN_H
#define AT_TUNER_CANDIDATES_CUDNN_H

#include "session.h"

/* A function of cuDNN as a code. */
struct at_cudnn_code {
    at_cudnn_function function;
    const at_cuda_device *device;
    at_cudnn_handle handle; /* the machine's */
    at_cu_stream stream;    /* of the handle */
};

/* Puts cuDNN's variants of the group's kernel behind the default in the space. None without cuDNN, or for a kernel that it does not have. */
actune_status at_cudnn_offer(at_group *group);
/* Whether the code is cuDNN's and not built yet. */
bool at_cudnn_is_open(const at_group *group, int code);
/* Nothing is compiled: what cuDNN refuses shows when it runs. */
void at_cudnn_code_build(at_group *group, int code, const struct at_cudnn_code *on);
/* For at_verify_target.run: `user` is the at_code. Aligned memory, whatever the case's: a plan gives cuDNN no other. */
actune_status at_cudnn_code_run(void *user, actune_shape shape, void *const *port);
/* For a timed arm: made ready, and run once on the ports, because a first run may load code. */
actune_status at_cudnn_code_open(const at_code *code, actune_shape shape, void *const *port, at_cudnn_launch **launch);

#endif
