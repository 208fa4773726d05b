#include "rig.h"

#include "runtime/launch_cuda.h"
#include "runtime/backend/cpu.h"
#include "runtime/base/chunk.h"
#include "runtime/base/dtype.h"

#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>

int rig_failures;
rig_library rig_cuda, rig_nvrtc, rig_cudnn;
char rig_folder[64];
static const char *(*report)(void), *(*cudnn_report)(void);
static int (*living)(void), (*cudnn_living)(void), (*programs)(void);
static void (*mend)(void);

static void *find(void *library, const char *name)
{
    void *symbol = library ? dlsym(library, name) : NULL;
    if (!symbol) {
        printf("%s is not in the fake driver: %s\n", name, dlerror());
        exit(1);
    }
    return symbol;
}

static void *open_library(const char *variable, const char *name, rig_library *controls)
{
    char path[1024];
    snprintf(path, sizeof path, "%s/fake_driver/%s", ACTUNE_BINARY_DIR, name);
    setenv(variable, path, 1);
    *controls = (rig_library){0};
    void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    *(void **)&controls->fail = find(library, "fake_fail");
    *(void **)&controls->failed = find(library, "fake_failed");
    *(void **)&controls->call_name = find(library, "fake_call_name");
    *(void **)&controls->call_count = find(library, "fake_call_count");
    return library;
}

bool rig_open(void)
{
    const at_compiler *compiler;
    setvbuf(stdout, NULL, _IOLBF, 0); /* what failed before a crash is seen */
    if (at_compiler_get(&compiler) || !compiler->is_clang) {
        puts("skipped: the emulation needs clang");
        return false;
    }
    strcpy(rig_folder, "/tmp/actune-fake-XXXXXX");
    if (!mkdtemp(rig_folder))
        return false;
    setenv("ACTUNE_FAKE_CACHE", rig_folder, 1);
    setenv("ACTUNE_FAKE_DEVICES", "2", 1);
    setenv("ACTUNE_CUDNN", "none", 1);
    void *cuda = open_library("ACTUNE_LIBCUDA", "libcuda.so.1", &rig_cuda);
    void *nvrtc = open_library("ACTUNE_NVRTC", "libnvrtc.so", &rig_nvrtc);
    *(void **)&report = find(cuda, "fake_report");
    *(void **)&living = find(cuda, "fake_living");
    *(void **)&mend = find(cuda, "fake_mend");
    *(void **)&programs = find(nvrtc, "fake_programs");
    return true;
}

void rig_open_cudnn(void)
{
    void *cudnn = open_library("ACTUNE_CUDNN", "libcudnn.so.9", &rig_cudnn);
    *(void **)&cudnn_report = find(cudnn, "fake_report");
    *(void **)&cudnn_living = find(cudnn, "fake_living");
}

void rig_close(void)
{
    char command[128];
    snprintf(command, sizeof command, "rm -rf '%s'", rig_folder);
    CHECK(!system(command), "%s", command);
}

int rig_count(const rig_library *library, const char *name)
{
    for (int i = 0; library->call_name(i); i++)
        if (!strcmp(library->call_name(i), name))
            return library->call_count(i);
    return 0;
}

const char *rig_report(void)
{
    static char both[16384];
    snprintf(both, sizeof both, "%s%s", cudnn_report ? cudnn_report() : "", report());
    return both;
}

int rig_living(void)
{
    return living() + (cudnn_living ? cudnn_living() : 0);
}

void rig_mend(void)
{
    mend();
}

void rig_check_clean(const char *what)
{
    const char *text = rig_report();
    CHECK(!*text, "%s: %s", what, text);
    CHECK(programs() == 0, "%s: %d programs of NVRTC are left", what, programs());
}

/* --- kernels --- */

static actune_status set_knobs(at_variant *variant, const char *knobs)
{
    char copy[256], *state = NULL;
    snprintf(copy, sizeof copy, "%s", knobs ? knobs : "");
    for (char *word = strtok_r(copy, " ", &state); word; word = strtok_r(NULL, " ", &state)) {
        char *value = strchr(word, '=');
        *value = '\0';
        AT_TRY(at_variant_set(variant, word, value + 1));
    }
    return ACTUNE_OK;
}

static actune_status make(rig_kernel *k, const char *text, const char *gradient, actune_dtype dtype, const char *knobs)
{
    const char *gradients[] = {gradient};
    at_kernel_request request = {gradient ? ACTUNE_BACKWARD : ACTUNE_FORWARD, dtype, dtype, gradients, gradient != NULL};
    at_target target = {.cuda = true, .cuda_arch = 90};
    at_generate_options options = {.symbol = "kernel", .pretty = true};
    at_spec spec;
    AT_TRY(at_spec_parse(text, &spec));
    actune_status status = at_kernel_lower(&spec, &request, &k->kernel);
    at_spec_clear(&spec);
    AT_TRY(status);
    AT_TRY(at_variant_default(&k->kernel, k->layout, &target, &k->variant));
    AT_TRY(set_knobs(&k->variant, knobs));
    AT_TRY(at_cuda_geometry_of(&k->kernel, &k->variant, &k->geometry));
    return at_generate(&k->kernel, k->layout, &target, &k->variant, &options, &k->source);
}

void rig_kernel_make(rig_kernel *k, const char *spec, const char *gradient, actune_dtype dtype, at_layout layout, const char *knobs)
{
    *k = (rig_kernel){.layout = layout};
    if (make(k, spec, gradient, dtype, knobs)) {
        printf("%s: %s\n", spec, actune_last_error());
        exit(1);
    }
}

actune_status rig_kernel_build(rig_kernel *k, const at_cuda_device *device, at_cache *cache)
{
    at_cuda_request request = {.source = at_strbuf_text(&k->source), .symbol = "kernel", .finish = k->kernel.signature.slots > 0};
    k->device = device;
    return at_cuda_kernel_build(device, cache, &request, &k->built);
}

void rig_kernel_unload(rig_kernel *k)
{
    at_cuda_kernel_destroy(k->built);
    k->built = NULL;
}

void rig_kernel_clear(rig_kernel *k)
{
    rig_kernel_unload(k);
    at_strbuf_clear(&k->source);
    at_kernel_clear(&k->kernel);
}

/* --- launches --- */

actune_status rig_launch_of(const rig_kernel *k, actune_shape shape, at_cuda_launch *launch)
{
    return at_cuda_launch_init(launch, k->built, &k->kernel, k->layout, shape, &k->geometry);
}

typedef struct run {
    void *memory[AT_PORTS_MAX], *partial;
    char *port[AT_PORTS_MAX];
    size_t bytes[AT_PORTS_MAX];
} run;

static actune_status copy_in(const rig_kernel *k, actune_shape shape, void *const *port, run *r)
{
    const at_signature *signature = &k->kernel.signature;
    for (int p = 0; p < signature->ports; p++) {
        size_t off = (uintptr_t)port[p] % 64;
        r->bytes[p] = (size_t)at_port_count(&signature->port[p], shape) * (size_t)at_dtype_get(signature->port[p].dtype)->bytes;
        for (int other = 0; other < p; other++)
            if (port[other] == port[p])
                r->port[p] = r->port[other];
        if (r->port[p])
            continue;
        AT_TRY(at_cuda_allocate(k->device, r->bytes[p] + off, &r->memory[p]));
        r->port[p] = (char *)r->memory[p] + off;
        AT_TRY(at_cuda_upload(k->device, r->port[p], port[p], r->bytes[p]));
    }
    return ACTUNE_OK;
}

static actune_status run_case(const rig_kernel *k, actune_shape shape, void *const *port, run *r)
{
    at_cuda_launch launch;
    AT_TRY(rig_launch_of(k, shape, &launch));
    AT_TRY(copy_in(k, shape, port, r));
    if (launch.workspace_bytes)
        AT_TRY(at_cuda_allocate(k->device, launch.workspace_bytes, &r->partial));
    AT_TRY(at_cuda_launch_run(&launch, (void *const *)r->port, r->partial, NULL));
    for (int p = 0; p < k->kernel.signature.ports; p++)
        AT_TRY(at_cuda_download(k->device, port[p], r->port[p], r->bytes[p]));
    return ACTUNE_OK;
}

actune_status rig_run(void *user, actune_shape shape, void *const *port)
{
    const rig_kernel *k = user;
    run r = {0};
    actune_status status = run_case(k, shape, port, &r);
    for (int p = 0; p < AT_PORTS_MAX; p++)
        at_cuda_free(k->device, r.memory[p]);
    at_cuda_free(k->device, r.partial);
    return status;
}
