/* The parts of an export that are about CUDA. */
#ifndef AT_EXPORT_CUDA_H
#define AT_EXPORT_CUDA_H

#include "job.h"

/* `src/cuda_kernels.c` and the texts in `src/cuda`. DEVICE where there is no NVRTC, UNSUPPORTED for an architecture that it does not know. */
actune_status at_export_write_cuda(at_export_job *job);
/* What the dispatcher says of architectures. */
actune_status at_export_append_archs(at_export_job *job, at_strbuf *out);
/* library.c: a target's table as a C array. */
actune_status at_export_append_table(at_export_job *job, const at_export_target *target, at_strbuf *out);

#endif
