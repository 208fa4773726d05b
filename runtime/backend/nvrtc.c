#include "nvrtc.h"

#include "library.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Own prototypes (the C interface of NVRTC is stable since CUDA 11.1, where cubins came). */
typedef struct nvrtc_program *program;
typedef int result;
enum { NVRTC_SUCCESS = 0, NVRTC_INVALID_OPTION = 5, NVRTC_COMPILATION = 6 };

static struct {
    void *library;
    char path[512];
    int major, minor;
    result (*version)(int *, int *);
    const char *(*error_text)(result);
    result (*create)(program *, const char *, const char *, int, const char *const *, const char *const *);
    result (*destroy)(program *);
    result (*compile)(program, int, const char *const *);
    result (*log_size)(program, size_t *);
    result (*log)(program, char *);
    result (*ptx_size)(program, size_t *);
    result (*ptx)(program, char *);
    result (*cubin_size)(program, size_t *);
    result (*cubin)(program, char *);
    result (*arch_count)(int *);
    result (*archs)(int *);
} nvrtc;

static const struct {
    const char *name;
    void *slot;
} symbols[] = {
    {"nvrtcVersion", &nvrtc.version},         {"nvrtcGetErrorString", &nvrtc.error_text}, {"nvrtcCreateProgram", &nvrtc.create},
    {"nvrtcDestroyProgram", &nvrtc.destroy},  {"nvrtcCompileProgram", &nvrtc.compile},    {"nvrtcGetProgramLogSize", &nvrtc.log_size},
    {"nvrtcGetProgramLog", &nvrtc.log},       {"nvrtcGetPTXSize", &nvrtc.ptx_size},       {"nvrtcGetPTX", &nvrtc.ptx},
    {"nvrtcGetCUBINSize", &nvrtc.cubin_size}, {"nvrtcGetCUBIN", &nvrtc.cubin},            {"nvrtcGetNumSupportedArchs", &nvrtc.arch_count},
    {"nvrtcGetSupportedArchs", &nvrtc.archs},
};

static pthread_once_t load_once = PTHREAD_ONCE_INIT;

static bool bind(void *library, const char *path)
{
    for (size_t i = 0; i < sizeof symbols / sizeof *symbols; i++) {
        void *symbol = dlsym(library, symbols[i].name);
        if (!symbol)
            return false;
        memcpy(symbols[i].slot, &symbol, sizeof symbol);
    }
    snprintf(nvrtc.path, sizeof nvrtc.path, "%s", path);
    nvrtc.library = library;
    nvrtc.version(&nvrtc.major, &nvrtc.minor);
    return true;
}

static void load(void)
{
    static const char *const names[] = {"libnvrtc.so", "libnvrtc.so.13", "libnvrtc.so.12", "libnvrtc.so.11.2", NULL};
    at_library_find(&(at_library_search){.variable = "ACTUNE_NVRTC", .file = "libnvrtc.so", .names = names, .bind = bind});
}

static actune_status need(void)
{
    pthread_once(&load_once, load);
    if (nvrtc.library)
        return ACTUNE_OK;
    const char *chosen = getenv("ACTUNE_NVRTC");
    if (chosen && *chosen) {
        char reason[512];
        at_library_reason(chosen, reason, sizeof reason);
        return at_fail(ACTUNE_DEVICE, "ACTUNE_NVRTC names %s, which cannot be loaded as NVRTC (%s): name another file, or none to have it looked for", chosen,
                       reason);
    }
    return at_fail(ACTUNE_DEVICE, "libnvrtc was not found: install the CUDA toolkit's NVRTC (or Python's nvidia-cuda-nvrtc), or set "
                                  "ACTUNE_NVRTC to the library's path");
}

actune_status at_nvrtc_version(int *major, int *minor, const char **path)
{
    AT_TRY(need());
    *major = nvrtc.major;
    *minor = nvrtc.minor;
    *path = nvrtc.path;
    return ACTUNE_OK;
}

static actune_status check_arch(int arch)
{
    int known[64], count = 0;
    if (nvrtc.arch_count(&count) || count < 1 || count > 64 || nvrtc.archs(known))
        return ACTUNE_OK; /* let the compile decide */
    for (int i = 0; i < count; i++)
        if (known[i] == arch)
            return ACTUNE_OK;
    return at_fail(ACTUNE_UNSUPPORTED, "sm_%d is unknown to NVRTC %d.%d (%s), which knows sm_%d to sm_%d", arch, nvrtc.major,
                   nvrtc.minor, nvrtc.path, known[0], known[count - 1]);
}

actune_status at_nvrtc_newest(int arch, int *newest)
{
    int known[64], count = 0;
    *newest = 0;
    AT_TRY(need());
    if (nvrtc.arch_count(&count) || count < 1 || count > 64 || nvrtc.archs(known))
        return at_fail(ACTUNE_UNSUPPORTED, "NVRTC %d.%d (%s) does not say which architectures it knows", nvrtc.major, nvrtc.minor, nvrtc.path);
    for (int i = 0; i < count; i++)
        if (known[i] <= arch && known[i] > *newest)
            *newest = known[i];
    return *newest ? ACTUNE_OK : check_arch(arch);
}

/* OK for 0; else which call, the code and its name. */
static actune_status check(actune_status status, const char *call, result code)
{
    return code ? at_fail(status, "%s failed with %d (%s)", call, code, nvrtc.error_text(code)) : ACTUNE_OK;
}

/* A text or binary that NVRTC made, and the two functions that give it. */
typedef struct part {
    const char *size_call, *call;
    result (*size)(program, size_t *);
    result (*content)(program, char *);
} part;

static actune_status fetch(program p, const part *from, char **text, size_t *bytes)
{
    size_t length = 0;
    *text = NULL;
    AT_TRY(check(ACTUNE_DEVICE, from->size_call, from->size(p, &length)));
    char *made = calloc(1, length + 1);
    if (!made)
        return at_fail(ACTUNE_NO_MEMORY, "no memory for what NVRTC made (%zu bytes)", length);
    actune_status status = check(ACTUNE_DEVICE, from->call, from->content(p, made));
    if (status) {
        free(made);
        return status;
    }
    *text = made;
    *bytes = length;
    return ACTUNE_OK;
}

/* Largest number that stands before `unit` on any line of the log that ptxas wrote; -1 when there is none. */
static int largest_before(const char *log, const char *unit)
{
    int largest = -1;
    for (const char *at = log; (at = strstr(at, unit)); at += strlen(unit)) {
        const char *digit = at;
        while (digit > log && digit[-1] >= '0' && digit[-1] <= '9')
            digit--;
        int value = digit < at ? atoi(digit) : -1;
        if (value > largest)
            largest = value;
    }
    return largest;
}

static void read_usage(at_nvrtc_output *output)
{
    int stores = largest_before(output->log, " bytes spill stores"), loads = largest_before(output->log, " bytes spill loads");
    output->registers = largest_before(output->log, " registers");
    output->spill_bytes = stores < 0 ? -1 : stores + loads;
    output->shared_bytes = largest_before(output->log, " bytes smem");
    if (output->registers >= 0 && output->shared_bytes < 0)
        output->shared_bytes = 0;
}

static actune_status compile(program p, int arch, bool cubin, at_nvrtc_output *output)
{
    const part log = {"nvrtcGetProgramLogSize", "nvrtcGetProgramLog", nvrtc.log_size, nvrtc.log};
    const part code = cubin ? (part){"nvrtcGetCUBINSize", "nvrtcGetCUBIN", nvrtc.cubin_size, nvrtc.cubin}
                            : (part){"nvrtcGetPTXSize", "nvrtcGetPTX", nvrtc.ptx_size, nvrtc.ptx};
    char target[32];
    snprintf(target, sizeof target, "--gpu-architecture=%s_%d", cubin ? "sm" : "compute", arch);
    const char *options[] = {target, "--fmad=false", "--std=c++17", "--ptxas-options=-v"};
    result compiled = nvrtc.compile(p, cubin ? 4 : 3, options);
    size_t bytes;
    actune_status logged = fetch(p, &log, &output->log, &bytes);
    if (compiled == NVRTC_COMPILATION)
        return at_fail(ACTUNE_COMPILE, "NVRTC %d.%d for sm_%d:\n%s", nvrtc.major, nvrtc.minor, arch, output->log ? output->log : "");
    if (compiled)
        return at_fail(ACTUNE_COMPILE, "NVRTC %d.%d for sm_%d: nvrtcCompileProgram failed with %d (%s)", nvrtc.major, nvrtc.minor, arch,
                       compiled, nvrtc.error_text(compiled));
    AT_TRY(logged);
    AT_TRY(fetch(p, &code, &output->code, &output->bytes));
    read_usage(output);
    return ACTUNE_OK;
}

actune_status at_nvrtc_compile(const char *source, const char *name, int arch, bool cubin, at_nvrtc_output *output)
{
    *output = (at_nvrtc_output){.registers = -1, .spill_bytes = -1, .shared_bytes = -1};
    AT_TRY(need());
    AT_TRY(check_arch(arch));
    program p;
    AT_TRY(check(ACTUNE_DEVICE, "nvrtcCreateProgram", nvrtc.create(&p, source, name, 0, NULL, NULL)));
    actune_status status = compile(p, arch, cubin, output);
    nvrtc.destroy(&p);
    if (status)
        at_nvrtc_output_clear(output);
    return status;
}

void at_nvrtc_output_clear(at_nvrtc_output *output)
{
    free(output->code);
    free(output->log);
    *output = (at_nvrtc_output){0};
}
