/* Running a plan on tensors in host memory, wherever its device is. */
#ifndef AT_CLI_DEVICE_RUN_H
#define AT_CLI_DEVICE_RUN_H

#include "command.h"

/* `device`: the name that the plan's context was opened with. On a GPU: the tensors go there, the kernel runs on the default stream, the outputs
   come back when all has gone well. Errors of actune_execute and of the driver. */
actune_status cli_execute(const actune_plan *plan, const char *device, const actune_buffer *buffers, int count);

/* Clipping of tensors in host memory, as one list. */
typedef struct cli_clip {
    const char *device; /* NULL: cpu */
    const actune_buffer *buffers;
    int count;
    bool by_value;
    double bound; /* the value, or max_norm */
    actune_clip_norm_options norm;
} cli_clip;

/* `result`: of clipping by norm. Errors of the lists' functions and of the driver; the buffers are then as they were. */
actune_status cli_clip_tensors(const cli_clip *clip, const char *database, actune_clip_result *result);

#endif
