/* Running a plan on tensors in host memory, wherever its device is. */
#ifndef AT_CLI_DEVICE_RUN_H
#define AT_CLI_DEVICE_RUN_H

#include "command.h"

/* `device`: the name that the plan's context was opened with. On a GPU: the tensors go there, the kernel runs on the default stream, the outputs
   come back when all has gone well. Errors of actune_execute and of the driver. */
actune_status cli_execute(const actune_plan *plan, const char *device, const actune_buffer *buffers, int count);

#endif
