/* A function's signature as C text. */
#ifndef AT_EXPORT_SIGNATURE_TEXT_H
#define AT_EXPORT_SIGNATURE_TEXT_H

#include "job.h"

/* What it computes, and what its parameters are. */
void at_export_text_comment(const at_export_function *function, at_strbuf *out);
/* "mylib_status mylib_gelu_f32(const float *x, float *y, int64_t n)" */
void at_export_text_prototype(const at_export_job *job, const at_export_function *function, at_strbuf *out);
/* Its definition in the dispatcher; `number`: its place among the functions. */
void at_export_text_definition(const at_export_job *job, int number, at_strbuf *out);
/* The same for CUDA: device memory, a device, a stream, and where there are sums a workspace and a function that tells its size. */
void at_export_text_cuda_prototype(const at_export_job *job, const at_export_function *function, at_strbuf *out);
void at_export_text_workspace_prototype(const at_export_function *function, at_strbuf *out);
void at_export_text_cuda_definition(const at_export_job *job, int number, at_strbuf *out);
/* An initializer of at_exported_function. */
void at_export_text_function(const at_export_function *function, at_strbuf *out);

#endif
