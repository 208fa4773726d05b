/* A libnvrtc.so whose cubin holds a shared object for the CPU (fake_image.h). Text that was compiled before is taken from the folder
   ACTUNE_FAKE_CACHE where that is set: clang takes a fifth of a second. */
#include "fake_calls.h"
#include "fake_image.h"
#include "runtime/backend/cpu_internal.h"
#include "tests/cuda_emulation/compile.h"

#include <elf.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef int nvrtc_result;
enum { OK, OUT_OF_MEMORY, CREATION, INVALID_INPUT, INVALID_PROGRAM, INVALID_OPTION, COMPILATION };

typedef struct fake_program {
    char *source, *log, *cubin;
    size_t cubin_bytes;
    char *ptx;
    fake_kernel_info kernel[FAKE_KERNELS_MAX];
    int kernels, arch;
    bool to_cubin;
} fake_program;

static const int archs[] = {75, 80, 86, 89, 90};

nvrtc_result nvrtcVersion(int *major, int *minor);
const char *nvrtcGetErrorString(nvrtc_result code);
nvrtc_result nvrtcCreateProgram(fake_program **program, const char *source, const char *name, int headers, const char *const *texts,
                                const char *const *names);
nvrtc_result nvrtcDestroyProgram(fake_program **program);
nvrtc_result nvrtcCompileProgram(fake_program *program, int count, const char *const *options);
nvrtc_result nvrtcGetProgramLogSize(fake_program *program, size_t *bytes);
nvrtc_result nvrtcGetProgramLog(fake_program *program, char *log);
nvrtc_result nvrtcGetPTXSize(fake_program *program, size_t *bytes);
nvrtc_result nvrtcGetPTX(fake_program *program, char *ptx);
nvrtc_result nvrtcGetCUBINSize(fake_program *program, size_t *bytes);
nvrtc_result nvrtcGetCUBIN(fake_program *program, char *cubin);
nvrtc_result nvrtcGetNumSupportedArchs(int *count);
nvrtc_result nvrtcGetSupportedArchs(int *list);
int fake_programs(void); /* that live, for tests */

static atomic_int programs;

int fake_programs(void)
{
    return programs;
}

nvrtc_result nvrtcVersion(int *major, int *minor)
{
    *major = 12;
    *minor = 4;
    return fake_count("nvrtcVersion");
}

const char *nvrtcGetErrorString(nvrtc_result code)
{
    static const char *const texts[] = {"NVRTC_SUCCESS", "NVRTC_ERROR_OUT_OF_MEMORY", "NVRTC_ERROR_PROGRAM_CREATION_FAILURE",
                                        "NVRTC_ERROR_INVALID_INPUT", "NVRTC_ERROR_INVALID_PROGRAM", "NVRTC_ERROR_INVALID_OPTION",
                                        "NVRTC_ERROR_COMPILATION"};
    return code >= 0 && code <= COMPILATION ? texts[code] : "NVRTC_ERROR unknown";
}

nvrtc_result nvrtcCreateProgram(fake_program **program, const char *source, const char *name, int headers, const char *const *texts,
                                const char *const *names)
{
    nvrtc_result code = fake_count("nvrtcCreateProgram");
    if (code || headers || texts || names || !name)
        return code ? code : INVALID_INPUT;
    *program = calloc(1, sizeof **program);
    if (!*program || !((*program)->source = strdup(source)))
        return OUT_OF_MEMORY;
    programs++;
    return OK;
}

nvrtc_result nvrtcDestroyProgram(fake_program **program)
{
    nvrtc_result code = fake_count("nvrtcDestroyProgram");
    free((*program)->source);
    free((*program)->log);
    free((*program)->cubin);
    free((*program)->ptx);
    free(*program);
    *program = NULL;
    programs--;
    return code;
}

/* --- compiling --- */

static char kind_of(const char *parameter, size_t length)
{
    if (memchr(parameter, '*', length))
        return 'p';
    if (memmem(parameter, length, "long long", 9))
        return 'q';
    if (memmem(parameter, length, "batch_buffers ", 14))
        return 'v';
    return memmem(parameter, length, "int ", 4) ? 'i' : '?';
}

/* Of templates/cuda/batch_head's struct, the one that a kernel takes by value. */
static int value_bytes(const char *source)
{
    const char *array = strstr(source, "struct batch_buffers {\n    void *of[");
    return array ? 8 * atoi(strchr(array, '[') + 1) : 0;
}

/* One kernel; `at` stands after __global__. False: not understood. */
static bool describe(const char *at, fake_kernel_info *kernel)
{
    int used = 0;
    const char *bounds = strstr(at, "__launch_bounds__("), *open = strchr(at, '(');
    *kernel = (fake_kernel_info){.threads = 1024, .registers = 32};
    if (getenv("ACTUNE_FAKE_REGISTERS"))
        kernel->registers = atoi(getenv("ACTUNE_FAKE_REGISTERS"));
    if (bounds && open && bounds < open) {
        kernel->threads = atoi(bounds + strlen("__launch_bounds__("));
        at = strchr(bounds, ')') + 1;
    } else
        at = strstr(at, "void") + strlen("void");
    if (sscanf(at, " %127[A-Za-z0-9_](%n", kernel->name, &used) != 1 || !used)
        return false;
    int count = 0;
    for (at += used; *at && at[-1] != ')' && count < (int)sizeof kernel->parameters - 1;) {
        size_t length = strcspn(at, ",)");
        kernel->parameters[count++] = kind_of(at, length);
        at += length + 1;
    }
    return at[-1] == ')' && !strchr(kernel->parameters, '?');
}

static char *read_all(const char *path, size_t *bytes)
{
    FILE *file = fopen(path, "rb");
    char *data = NULL;
    *bytes = 0;
    if (!file)
        return NULL;
    fseek(file, 0, SEEK_END);
    long size = ftell(file);
    rewind(file);
    if (size >= 0 && (data = calloc(1, (size_t)size + 1)))
        *bytes = fread(data, 1, (size_t)size, file);
    fclose(file);
    return data;
}

/* NULL without a cache. */
static const char *cached_path(const fake_program *p, char path[1024])
{
    const char *folder = getenv("ACTUNE_FAKE_CACHE");
    at_hash hash = at_hash_text(p->source);
    snprintf(path, 1024, "%s/%s.so", folder ? folder : "", hash.hex);
    return folder ? path : NULL;
}

/* The CPU's object of a text; NULL: the compiler's words are in p->log. */
static char *compile_object(fake_program *p, size_t *bytes)
{
    char folder[] = "/tmp/actune-fake-XXXXXX", text[64], object[64], log[64], kept[1024], *data = NULL;
    size_t log_bytes;
    if (cached_path(p, kept) && (data = read_all(kept, bytes)))
        return data;
    if (!mkdtemp(folder))
        return NULL;
    snprintf(text, sizeof text, "%s/kernel.cu", folder);
    snprintf(object, sizeof object, "%s/kernel.so", folder);
    snprintf(log, sizeof log, "%s/log", folder);
    actune_status status = emu_compile(p->source, NULL, text, object, log);
    if (status == ACTUNE_OK) {
        data = read_all(object, bytes);
        if (cached_path(p, kept))
            (void)!rename(object, kept); /* on one file system, or not kept */
    } else {
        p->log = read_all(log, &log_bytes);
        if (!p->log)
            p->log = strdup(actune_last_error());
    }
    remove(text);
    remove(object);
    remove(log);
    rmdir(folder);
    return data;
}

/* Bytes of static shared memory: the shim's section, without its anchor. */
static int shared_bytes(const char *object)
{
    Elf64_Ehdr header;
    Elf64_Shdr names, s;
    memcpy(&header, object, sizeof header);
    memcpy(&names, object + header.e_shoff + header.e_shstrndx * sizeof s, sizeof names);
    for (int i = 0; i < header.e_shnum; i++) {
        memcpy(&s, object + header.e_shoff + (size_t)i * sizeof s, sizeof s);
        if (!strcmp(object + names.sh_offset + s.sh_name, "emu_shared"))
            return (int)s.sh_size - 8;
    }
    return 0;
}

/* Machine code stands for machine code; the log is like that of ptxas -v. */
static void describe_code(fake_program *p, const char *object, size_t bytes, at_strbuf *log)
{
    const at_bytes file = {.data = (unsigned char *)object, .size = bytes};
    const char *spill = getenv("ACTUNE_FAKE_SPILL_BYTES");
    for (int i = 0; i < p->kernels; i++) {
        fake_kernel_info *k = &p->kernel[i];
        at_hash hash = {{0}};
        at_elf_code(&file, k->name, &hash);
        snprintf(k->code, sizeof k->code, "%s", hash.hex);
        k->shared_bytes = shared_bytes(object);
        at_strbuf_printf(log, "ptxas info    : Compiling entry function '%s' for 'sm_%d'\nptxas info    : Function properties for %s\n", k->name,
                         p->arch, k->name);
        at_strbuf_printf(log, "    0 bytes stack frame, %d bytes spill stores, %d bytes spill loads\n", spill ? atoi(spill) : 0,
                         spill ? atoi(spill) : 0);
        at_strbuf_printf(log, "ptxas info    : Used %d registers, %d bytes smem\n", k->registers, k->shared_bytes);
    }
}

static nvrtc_result translate(fake_program *p)
{
    at_strbuf image = {0}, log = {0};
    size_t bytes;
    char *object = compile_object(p, &bytes);
    if (!object)
        return p->log ? COMPILATION : OUT_OF_MEMORY;
    describe_code(p, object, bytes, &log);
    fake_image_write(p->kernel, p->kernels, object, bytes, &image);
    free(object);
    if (p->to_cubin) {
        p->cubin_bytes = image.length;
        p->cubin = at_strbuf_take(&image);
        p->log = at_strbuf_take(&log);
        return p->cubin ? OK : OUT_OF_MEMORY;
    }
    at_strbuf ptx = {0};
    at_strbuf_append(&ptx, "// PTX\n");
    for (size_t i = 0; i < image.length; i++)
        at_strbuf_printf(&ptx, "%02x", (unsigned char)image.text[i]);
    p->ptx = at_strbuf_take(&ptx);
    p->log = strdup("");
    at_strbuf_clear(&image);
    at_strbuf_clear(&log);
    return p->ptx ? OK : OUT_OF_MEMORY;
}

static bool is_known(const char *option, fake_program *p)
{
    static const char start[] = "--gpu-architecture=";
    static const char *const others[] = {"--fmad=false", "--std=c++17", "--ptxas-options=-v"};
    if (strncmp(option, start, sizeof start - 1)) {
        for (size_t i = 0; i < sizeof others / sizeof *others; i++)
            if (!strcmp(option, others[i]))
                return true;
        return false;
    }
    p->to_cubin = !strncmp(option + sizeof start - 1, "sm_", 3);
    p->arch = atoi(strchr(option, '_') + 1);
    for (size_t i = 0; i < sizeof archs / sizeof *archs; i++)
        if (archs[i] == p->arch)
            return true;
    return false;
}

nvrtc_result nvrtcCompileProgram(fake_program *program, int count, const char *const *options)
{
    nvrtc_result code = fake_count("nvrtcCompileProgram");
    for (int i = 0; i < count && !code; i++)
        if (!is_known(options[i], program)) {
            program->log = strdup("nvrtc: error: invalid option\n");
            code = INVALID_OPTION;
        }
    for (const char *at = program->source; !code && (at = strstr(at, "__global__")); program->kernels++)
        if (program->kernels == FAKE_KERNELS_MAX || !describe(at += strlen("__global__"), &program->kernel[program->kernels]))
            code = INVALID_INPUT;
        else
            program->kernel[program->kernels].value_bytes = value_bytes(program->source);
    return code ? code : translate(program);
}

/* --- results --- */

nvrtc_result nvrtcGetProgramLogSize(fake_program *program, size_t *bytes)
{
    *bytes = strlen(program->log ? program->log : "") + 1;
    return fake_count("nvrtcGetProgramLogSize");
}

nvrtc_result nvrtcGetProgramLog(fake_program *program, char *log)
{
    strcpy(log, program->log ? program->log : "");
    return fake_count("nvrtcGetProgramLog");
}

nvrtc_result nvrtcGetPTXSize(fake_program *program, size_t *bytes)
{
    *bytes = program->ptx ? strlen(program->ptx) + 1 : 0;
    return fake_count("nvrtcGetPTXSize");
}

nvrtc_result nvrtcGetPTX(fake_program *program, char *ptx)
{
    nvrtc_result code = fake_count("nvrtcGetPTX");
    if (!code && program->ptx)
        strcpy(ptx, program->ptx);
    return code;
}

nvrtc_result nvrtcGetCUBINSize(fake_program *program, size_t *bytes)
{
    *bytes = program->cubin_bytes;
    return fake_count("nvrtcGetCUBINSize");
}

nvrtc_result nvrtcGetCUBIN(fake_program *program, char *cubin)
{
    nvrtc_result code = fake_count("nvrtcGetCUBIN");
    if (!code)
        memcpy(cubin, program->cubin, program->cubin_bytes);
    return code;
}

nvrtc_result nvrtcGetNumSupportedArchs(int *count)
{
    *count = sizeof archs / sizeof *archs;
    return fake_count("nvrtcGetNumSupportedArchs");
}

nvrtc_result nvrtcGetSupportedArchs(int *list)
{
    memcpy(list, archs, sizeof archs);
    return fake_count("nvrtcGetSupportedArchs");
}
