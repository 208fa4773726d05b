/* cuDNN's functions on the fake driver: found where they may lie, computing what our kernels mean (the tuner's own reference), with every call
   failing in turn. */
#include "rig.h"

#include "runtime/base/dtype.h"
#include "runtime/cudnn_variant.h"
#include "tuner/verify.h"

#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static at_cuda_device *device;
static at_cudnn_handle handle;

static at_cudnn_function legacy_of(int mode, double coefficient, actune_dtype dtype)
{
    return (at_cudnn_function){
        .step = {{mode, coefficient, 0}}, .steps = 1, .port = {{dtype, false}, {dtype, false}}, .ports = 2, .propagate_nan = true};
}

static actune_shape flat(int64_t elements)
{
    return (actune_shape){1, 1, elements};
}

/* --- finding the library --- */

/* In a process of its own: the answer is kept. Exit status 0: found as `suffix` of its path, and of this version. */
static void look(const char *what, const char *value, const char *suffix, const char *version)
{
    fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        const char *text = "", *path = "";
        setenv("ACTUNE_CUDNN", value, 1);
        actune_status status = at_cudnn_version(&text, &path);
        size_t length = strlen(path), tail = suffix ? strlen(suffix) : 0;
        bool right = suffix ? status == ACTUNE_OK && length >= tail && !strcmp(path + length - tail, suffix) && !strcmp(text, version)
                            : status == ACTUNE_DEVICE && strstr(actune_last_error(), version);
        if (!right)
            printf("%s: %d, '%s' of '%s' [%s]\n", what, (int)status, text, path, actune_last_error());
        fflush(stdout);
        _exit(!right);
    }
    int status = 0;
    waitpid(child, &status, 0);
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0, "%s", what);
}

static void finding(void)
{
    char path[512];
    snprintf(path, sizeof path, "%s/fake_driver/libcudnn.so.9", ACTUNE_BINARY_DIR);
    look("by name", path, "fake_driver/libcudnn.so.9", "9.13.1");
    look("switched off", "none", NULL, "'none'");
    look("a wrong name", "/nowhere/libcudnn.so.9", NULL, "/nowhere/libcudnn.so.9, which cannot be loaded");
    snprintf(path, sizeof path, "%s/fake_driver/libnvrtc.so", ACTUNE_BINARY_DIR);
    look("another library", path, NULL, "has no cudnnGetVersion");
    snprintf(path, sizeof path, "%s/fake_driver/libcudnn.so.9", ACTUNE_BINARY_DIR);
    setenv("ACTUNE_FAKE_CUDNN_VERSION", "8907", 1);
    look("version 8", path, "libcudnn.so.9", "8.9.7");
    unsetenv("ACTUNE_FAKE_CUDNN_VERSION");
}

/* --- a real one --- */

/* Where the loader finds a cuDNN, it must take our descriptors: they need no GPU. */
static void describe_to_real(void)
{
    const at_cudnn_function functions[] = {legacy_of(AT_CUDNN_SIGMOID, 0, ACTUNE_F32), legacy_of(AT_CUDNN_RELU, 0, ACTUNE_BF16),
                                           legacy_of(AT_CUDNN_TANH, 0, ACTUNE_F64),    legacy_of(AT_CUDNN_CLIPPED_RELU, 6, ACTUNE_F16),
                                           legacy_of(AT_CUDNN_ELU, 1, ACTUNE_F32),     legacy_of(AT_CUDNN_SWISH, 2, ACTUNE_F32)};
    static const int64_t sizes[] = {1, 1000003, 1 << 20, INT32_MAX};
    const char *version, *path;
    at_cuda_device *fake;
    at_cudnn_launch *launch;
    unsetenv("ACTUNE_CUDNN");
    if (at_cudnn_version(&version, &path) != ACTUNE_OK) {
        puts("no cuDNN here to describe our calls to");
        return;
    }
    printf("described to cuDNN %s, %s\n", version, path);
    CHECK_OK(at_cuda_open(0, &fake));
    for (size_t i = 0; i < sizeof functions / sizeof *functions; i++)
        for (size_t k = 0; k < sizeof sizes / sizeof *sizes; k++) {
            CHECK_OK(at_cudnn_launch_create(fake, NULL, &functions[i], flat(sizes[k]), &launch));
            at_cudnn_launch_destroy(launch);
        }
    at_cuda_close(fake);
}

static void real(void)
{
    fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        describe_to_real();
        fflush(stdout);
        _exit(rig_failures != 0);
    }
    int status = 0;
    waitpid(child, &status, 0);
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0, "a real cuDNN");
}

/* --- which kernels --- */

static bool make_kernel(at_kernel *kernel, const char *text, bool backward, actune_dtype dtype)
{
    at_kernel_request request = {backward ? ACTUNE_BACKWARD : ACTUNE_FORWARD, dtype, dtype, NULL, 0};
    at_spec spec;
    actune_status status = at_spec_parse(text, &spec);
    if (status == ACTUNE_OK) {
        status = at_kernel_lower(&spec, &request, kernel);
        at_spec_clear(&spec);
    }
    CHECK(status == ACTUNE_OK, "%s", text);
    return status == ACTUNE_OK;
}

static int count_variants(const char *text, bool backward, actune_dtype dtype, int *legacy)
{
    at_kernel kernel;
    at_cudnn_variant variants[AT_CUDNN_VARIANTS_MAX];
    int count = 0;
    *legacy = 0;
    if (make_kernel(&kernel, text, backward, dtype)) {
        count = at_cudnn_variants(&kernel, variants);
        for (int i = 0; i < count; i++)
            *legacy += variants[i].function.algorithm == AT_CUDNN_LEGACY;
        at_kernel_clear(&kernel);
    }
    return count;
}

static void offers(void)
{
    static const struct {
        const char *spec;
        bool backward;
        int legacy, graph;
    } list[] = {
        {"sigmoid", false, 1, 4},   {"sigmoid", true, 0, 4},        {"[from=output] sigmoid", true, 1, 0}, {"relu", true, 1, 4},
        {"elu(alpha=0.5)", false, 1, 4}, {"swish(beta=2)", false, 1, 4}, {"relu | clip(0, 3)", false, 1, 4}, {"clip(0, 3)", true, 1, 4},
        {"gelu", true, 0, 4},       {"softplus", false, 0, 4},      {"clip(-1, 3)", false, 0, 0},          {"relu | clip(1, 3)", false, 0, 0},
        {"tanh | clip(0, 1)", false, 0, 4}, {"bias | relu", false, 0, 4}, {"swish(beta=learn)", false, 0, 0}, {"mish", false, 0, 0},
        {"relu | tanh", true, 0, 0}, {"bias | relu", true, 0, 0},   {"prelu(alpha=learn)", false, 0, 0},   {"add | mish", false, 0, 0},
        {"scale_shift | add | relu", false, 0, 4}, {"relu | grad_clip(1)", false, 0, 0},
        {"add | mul | add | mul | add | mul", false, 0, 4}, {"add | mul | add | mul | add | mul | add", false, 0, 0},
    };
    for (size_t i = 0; i < sizeof list / sizeof *list; i++) {
        int legacy, count = count_variants(list[i].spec, list[i].backward, ACTUNE_F32, &legacy);
        CHECK(legacy == list[i].legacy && count == list[i].legacy + list[i].graph, "%s: %d, %d of them legacy", list[i].spec, count, legacy);
    }
    int legacy;
    CHECK(count_variants("relu", true, ACTUNE_F64, &legacy) == 1 && legacy == 1, "no graphs of f64");
    CHECK(count_variants("gelu", false, ACTUNE_F64, &legacy) == 0, "no graphs of f64");
}

/* --- values --- */

typedef struct runner {
    const at_kernel *kernel;
    const at_cudnn_function *function;
} runner;

static size_t bytes_of(const runner *of, actune_shape shape, int port)
{
    const at_port *p = &of->kernel->signature.port[port];
    return (size_t)at_port_count(p, shape) * (size_t)at_dtype_get(p->dtype)->bytes;
}

static actune_status run_ports(const runner *of, actune_shape shape, void *const *port, void **memory)
{
    int last = of->kernel->signature.ports - 1;
    at_cudnn_launch *launch;
    for (int p = 0; p <= last; p++) {
        AT_TRY(at_cuda_allocate(device, bytes_of(of, shape, p), &memory[p]));
        AT_TRY(at_cuda_upload(device, memory[p], port[p], bytes_of(of, shape, p)));
    }
    AT_TRY(at_cudnn_launch_create(device, handle, of->function, shape, &launch));
    actune_status status = at_cudnn_launch_run(launch, memory);
    at_cudnn_launch_destroy(launch);
    AT_TRY(status);
    return at_cuda_download(device, port[last], memory[last], bytes_of(of, shape, last));
}

static actune_status run(void *user, actune_shape shape, void *const *port)
{
    void *memory[AT_PORTS_MAX] = {NULL};
    if (shape.outer * shape.channels * shape.inner == 0)
        return ACTUNE_OK;
    actune_status status = run_ports(user, shape, port, memory);
    for (int p = 0; p < AT_PORTS_MAX; p++)
        at_cuda_free(device, memory[p]);
    return status;
}

/* Every variant that the fake computes as its words say must pass; `wrong`: the legacy gradient of elu reads y, and was given x. */
static void values_in(at_layout layout, const char *text, bool backward, actune_dtype dtype, bool wrong)
{
    at_kernel kernel;
    at_cudnn_variant variants[AT_CUDNN_VARIANTS_MAX];
    at_reference reference;
    if (!make_kernel(&kernel, text, backward, dtype))
        return;
    int count = at_cudnn_variants(&kernel, variants);
    CHECK(count > 0, "%s", text);
    CHECK_OK(at_reference_init(&reference, &kernel, layout, 1));
    for (int i = 0; i < count; i++) {
        runner of = {&kernel, &variants[i].function};
        at_verify_target target = {.run = run, .run_user = &of, .apart = true};
        at_verify_report report = {0};
        bool legacy = variants[i].function.algorithm == AT_CUDNN_LEGACY;
        actune_status status = at_verify(&reference, &target, &report);
        if (variants[i].function.choice < 2)
            CHECK(status == ACTUNE_OK && report.passed == !(wrong && legacy), "%s, %s, %s: %s", text, backward ? "backward" : "forward",
                  at_dtype_get(dtype)->name, report.detail);
        else
            CHECK(status == ACTUNE_UNSUPPORTED && strstr(actune_last_error(), "offer 2 engines"), "%s: the fake has two", text);
    }
    at_reference_clear(&reference);
    at_kernel_clear(&kernel);
}

static void values_of(const char *text, bool backward, actune_dtype dtype, bool wrong)
{
    values_in(AT_LAYOUT_FLAT, text, backward, dtype, wrong);
}

/* Chains with operands, per channel in both layouts. */
static void pipelines(void)
{
    static const char *const channels[] = {"bias", "bias | gelu_tanh", "bias | relu | clip(0, 4)", "bias | silu | mul | bias"};
    static const char *const elements[] = {"add | relu", "silu | mul", "mul | add | elu", "sigmoid | tanh", "clip(0, 3) | clip(0, 5)"};
    for (size_t i = 0; i < sizeof channels / sizeof *channels; i++)
        for (at_layout layout = AT_LAYOUT_FLAT; layout <= AT_LAYOUT_CHANNEL_OUTER; layout++)
            values_in(layout, channels[i], false, layout == AT_LAYOUT_CHANNEL_INNER ? ACTUNE_F16 : ACTUNE_F32, false);
    for (size_t i = 0; i < sizeof elements / sizeof *elements; i++)
        values_of(elements[i], false, i % 2 ? ACTUNE_BF16 : ACTUNE_F32, false);
}

static void values(void)
{
    static const char *const specs[] = {"sigmoid", "relu", "tanh", "relu6", "elu(alpha=0.5)", "elu", "swish(beta=2)", "silu", "gelu", "gelu_tanh",
                                        "softplus(beta=2)", "clip(0, 3)", "[semantics=cudnn] relu"};
    static const char *const from_output[] = {"[from=output] sigmoid", "[from=output] relu", "[from=output] tanh", "[from=output] elu"};
    for (size_t i = 0; i < sizeof specs / sizeof *specs; i++)
        for (int backward = 0; backward < 2; backward++) {
            /* PyTorch's clip lets the gradient through at its bounds. */
            if (backward && strstr(specs[i], "clip"))
                continue;
            values_of(specs[i], backward, ACTUNE_F32, backward && strstr(specs[i], "elu") == specs[i]);
        }
    for (size_t i = 0; i < sizeof from_output / sizeof *from_output; i++)
        values_of(from_output[i], true, ACTUNE_F32, false);
    pipelines();
    values_of("tanh", false, ACTUNE_F16, false);
    values_of("silu", false, ACTUNE_BF16, false);
    values_of("relu", true, ACTUNE_F64, false);
}

/* --- identity --- */

static void identity(void)
{
    at_kernel kernel, other;
    at_cudnn_variant all[AT_CUDNN_VARIANTS_MAX], found;
    at_strbuf text = {0};
    if (!make_kernel(&kernel, "elu(alpha=0.5)", false, ACTUNE_F32) || !make_kernel(&other, "mish", false, ACTUNE_F32))
        return;
    CHECK(at_cudnn_variants(&kernel, all) == 5, "all of them");
    at_kernel codes;
    if (make_kernel(&codes, "relu", false, ACTUNE_I8))
        CHECK(at_cudnn_variants(&codes, all) == 0, "none of 8 bits");
    at_kernel_clear(&codes);
    at_cudnn_variants(&kernel, all);
    for (int i = 0; i < 5; i++)
        for (int k = 0; k < i; k++)
            CHECK(strcmp(all[i].source_hash.hex, all[k].source_hash.hex) != 0, "%d and %d", i, k);
    CHECK_OK(at_cudnn_variant_find(&kernel, "cudnn/graph plan=1 version=9.13.1", &found));
    CHECK(found.function.choice == 1 && !strcmp(found.source_hash.hex, all[2].source_hash.hex), "by its text");
    CHECK(at_cudnn_variant_find(&kernel, "cudnn/activation version=9.1.0", &found) == ACTUNE_NOT_FOUND, "another version");
    CHECK(strstr(actune_last_error(), "cuDNN 9.13.1") && strstr(actune_last_error(), "tune again"), "says so");
    CHECK(at_cudnn_variant_find(&other, "cudnn/activation version=9.13.1", &found) == ACTUNE_NOT_FOUND, "another kernel");
    at_cudnn_describe("cudnn/graph plan=1 version=9.13.1", &text);
    at_strbuf_append(&text, "; ");
    at_cudnn_describe("cudnn/activation version=8.9.7", &text);
    at_strbuf_append(&text, "; ");
    at_cudnn_describe("cuda/elementwise block=256", &text);
    CHECK(!strcmp(at_strbuf_text(&text), "cuDNN 9.13.1, graph plan 1; cuDNN 8.9.7, activation; cuda/elementwise block=256"), "%s",
          at_strbuf_text(&text));
    at_strbuf_clear(&text);
    at_kernel_clear(&kernel);
    at_kernel_clear(&other);
}

/* --- failures --- */

static actune_status once(const at_cudnn_function *function)
{
    at_cudnn_handle own;
    at_cudnn_launch *launch = NULL;
    void *memory;
    AT_TRY(at_cuda_allocate(device, 4096, &memory));
    void *ports[] = {memory, memory, memory};
    actune_status status = at_cudnn_open(device, NULL, &own);
    if (status == ACTUNE_OK)
        status = at_cudnn_launch_create(device, own, function, flat(1000), &launch);
    if (status == ACTUNE_OK)
        status = at_cudnn_launch_run(launch, ports);
    char message[512];
    snprintf(message, sizeof message, "%s", actune_last_error());
    at_cudnn_launch_destroy(launch);
    at_cudnn_close(device, own);
    at_cuda_free(device, memory);
    return status == ACTUNE_OK ? status : at_fail(status, "%s", message);
}

static void fail_each(const at_cudnn_function *function, const char *name)
{
    for (int nth = 1; nth < 50; nth++) {
        int before = rig_living();
        rig_cudnn.fail(name, nth, nth == 1 ? 3000 : nth == 2 ? 4004 : 2000);
        actune_status status = once(function);
        bool failed = rig_cudnn.failed();
        rig_cudnn.fail("", 0, 0);
        if (!failed)
            break;
        bool told = !strstr(name, "Destroy") && !strstr(name, "GetVersion") && !strstr(name, "String");
        actune_status wanted = nth == 1 ? ACTUNE_UNSUPPORTED : nth == 2 ? ACTUNE_NO_MEMORY : ACTUNE_DEVICE;
        bool said = strstr(actune_last_error(), name) && strstr(actune_last_error(), "last words");
        CHECK(!told || (status == wanted && said), "failure %d of %s: %d", nth, name, (int)status);
        CHECK(rig_living() == before, "failure %d of %s leaves %d behind", nth, name, rig_living() - before);
    }
}

static void failures(void)
{
    at_cudnn_function functions[] = {legacy_of(AT_CUDNN_SWISH, 1, ACTUNE_F32), legacy_of(AT_CUDNN_ELU, 1, ACTUNE_F16), legacy_of(203, 1, ACTUNE_F32),
                                     {.algorithm = AT_CUDNN_GRAPH, .step = {{0, 0, 1}, {100, 0, 0}}, .steps = 2, .ports = 3}};
    functions[1].backward = functions[2].backward = true;
    functions[2].algorithm = AT_CUDNN_GRAPH;
    functions[2].choice = 1;
    functions[1].ports = functions[2].ports = 3;
    at_cudnn_launch *launch;
    for (size_t i = 0; i < sizeof functions / sizeof *functions; i++)
        for (int call = 0; rig_cudnn.call_name(call); call++)
            fail_each(&functions[i], rig_cudnn.call_name(call));
    CHECK(at_cudnn_launch_create(device, handle, &functions[0], flat(0), &launch) == ACTUNE_UNSUPPORTED, "no elements");
    CHECK(at_cudnn_launch_create(device, handle, &functions[0], flat((int64_t)1 << 31), &launch) == ACTUNE_UNSUPPORTED, "too many");
    void *odd[] = {(void *)8, (void *)16, (void *)32};
    CHECK_OK(at_cudnn_launch_create(device, handle, &functions[2], flat(10), &launch));
    CHECK(at_cudnn_launch_run(launch, odd) == ACTUNE_DEVICE && strstr(actune_last_error(), "cudnnBackendExecute"), "the fake minds alignment");
    at_cudnn_launch_destroy(launch);
}

int main(void)
{
    if (!rig_open())
        return 77;
    finding();
    real();
    rig_open_cudnn();
    CHECK_OK(at_cuda_open(0, &device));
    CHECK_OK(at_cudnn_open(device, NULL, &handle));
    offers();
    identity();
    values();
    failures();
    at_cudnn_close(device, handle);
    at_cuda_close(device);
    rig_check_clean("at the end");
    rig_close();
    printf("cuDNN on the fake driver: %d failed\n", rig_failures);
    return rig_failures != 0;
}
