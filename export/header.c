/* The library's public header: plain C, for C++ too. */
#include "job.h"

#include "signature_text.h"

#include <string.h>

static const struct {
    actune_status status;
    const char *name, *meaning;
} statuses[] = {
    {ACTUNE_OK, "OK", "done"},
    {ACTUNE_INVALID_ARGUMENT, "INVALID_ARGUMENT", "a shape, or a pointer that is NULL, misaligned or overlaps another"},
    {ACTUNE_UNSUPPORTED, "UNSUPPORTED", "this processor or device is none that the library was made for"},
    {ACTUNE_NO_MEMORY, "NO_MEMORY", "no memory for partial sums, or on the device"},
    {ACTUNE_DEVICE, "DEVICE", "CUDA: no driver, no such device, or a call of the driver's failed"},
};

static void write_top(const at_export_job *job, at_strbuf *out)
{
    const char *name = job->request->name, *upper = job->upper;
    at_strbuf_printf(out, "/* %s: tuned activation kernels, made by actune " ACTUNE_VERSION_TEXT ". Needs nothing but the C library.\n\n", name);
    at_strbuf_printf(out, "   Every function returns %s_OK or says in %s_last_error() what was wrong; then nothing was written. Tensors are contiguous:\n"
                          "   [outer, channels, inner] (NCHW: N, C, H*W; NHWC and rows: N*H*W, C, 1), or n elements where no operand is per channel. Any\n"
                          "   extent may be 0. f16 is IEEE binary16 and bf16 bfloat16, both as uint16_t. Inputs may overlap inputs; outputs overlap nothing,\n"
                          "   but that y may be x (dx may be dy) where they have one type. Any thread may call any function, several at once. */\n",
                     upper, name);
    at_strbuf_printf(out, "#ifndef %s_H\n#define %s_H\n\n#include <stddef.h>\n#include <stdint.h>\n\n#ifdef __cplusplus\nextern \"C\" {\n#endif\n\n", upper, upper);
    at_strbuf_printf(out, "#if defined(__GNUC__)\n#define %s_API __attribute__((visibility(\"default\")))\n#else\n#define %s_API\n#endif\n\n", upper, upper);
    at_strbuf_printf(out, "typedef enum %s_status {\n", name);
    for (size_t i = 0; i < sizeof statuses / sizeof *statuses; i++)
        at_strbuf_printf(out, "    %s_%s = %d, /* %s */\n", upper, statuses[i].name, (int)statuses[i].status, statuses[i].meaning);
    at_strbuf_printf(out, "} %s_status;\n\n", name);
}

static void write_common(const at_export_job *job, at_strbuf *out)
{
    const char *name = job->request->name, *upper = job->upper;
    at_strbuf_printf(out, "/* What went wrong last in this thread, one sentence; \"\" when nothing did. */\n%s_API const char *%s_last_error(void);\n", upper, name);
    at_strbuf_printf(out, "/* \"INVALID_ARGUMENT\". */\n%s_API const char *%s_status_name(%s_status status);\n", upper, name, name);
    if (job->request->cpu) {
        at_strbuf_printf(out, "/* At most so many threads for one call, the caller's among them; 0: all processors (as at the start). */\n"
                              "%s_API %s_status %s_set_threads(int threads);\n", upper, name, name);
        at_strbuf_printf(out, "/* The instruction set in use, as \"x86-64-v3\"; NULL where the library has none for this processor. %s_ISA in the environment\n"
                              "   lowers it, if it is set before the first call. */\n%s_API const char *%s_isa(void);\n", upper, upper, name);
    }
    if (job->request->cuda)
        at_strbuf_printf(out, "/* Loads all kernels for a GPU (its number as CUDA counts). Without it a kernel is loaded when it is first called, which a stream\n"
                              "   that is captured into a graph does not allow. libcuda is looked for when the first CUDA function is called. */\n"
                              "%s_API %s_status %s_cuda_prewarm(int device);\n", upper, name, name);
    at_strbuf_printf(out, "/* Ends the worker threads and frees what is kept for the next call. Nothing else of the library may run meanwhile; needed\n"
                              "   only before the static library is unloaded with a dlopen'ed object that it is part of. */\n%s_API void %s_release(void);\n", upper, name);
    at_strbuf_char(out, '\n');
}

static void write_function(const at_export_job *job, const at_export_function *function, at_strbuf *out)
{
    at_export_text_comment(function, out);
    at_strbuf_printf(out, "%s_API ", job->upper);
    at_export_text_prototype(job, function, out);
    at_strbuf_append(out, ";\n\n");
}

static void write_cuda_functions(const at_export_job *job, at_strbuf *out)
{
    at_strbuf_append(out, "/* On a GPU. Pointers are device memory of `device`; `stream` is a CUstream or cudaStream_t (NULL: the default stream). The call puts the\n"
                          "   kernel on the stream and returns: asynchronous, no allocation, may be captured once its kernel is loaded. `workspace`: as many bytes of\n"
                          "   device memory as the function ..._workspace says, 256-byte aligned, that nothing else uses until the stream has passed. */\n\n");
    for (int i = 0; i < job->functions; i++) {
        const at_export_function *function = job->function[i];
        at_export_text_comment(function, out);
        at_strbuf_printf(out, "%s_API ", job->upper);
        at_export_text_cuda_prototype(job, function, out);
        at_strbuf_append(out, ";\n");
        if (function->kernel.signature.slots > 0) {
            at_strbuf_printf(out, "%s_API ", job->upper);
            at_export_text_workspace_prototype(function, out);
            at_strbuf_append(out, ";\n");
        }
        at_strbuf_char(out, '\n');
    }
}

actune_status at_export_write_header(at_export_job *job)
{
    at_strbuf out = {0};
    write_top(job, &out);
    write_common(job, &out);
    for (int i = 0; i < job->functions && job->request->cpu; i++)
        write_function(job, job->function[i], &out);
    if (job->request->cuda)
        write_cuda_functions(job, &out);
    at_strbuf_append(&out, "#ifdef __cplusplus\n}\n#endif\n#endif\n");
    const char *path = at_arena_printf(&job->arena, "include/%s.h", job->request->name);
    return path != NULL ? at_export_add_file(job, path, &out) : (at_strbuf_clear(&out), at_export_no_memory());
}
