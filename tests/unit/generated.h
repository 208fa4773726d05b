/* For tests of generated code: kernels from prefix text, compiling and loading a source, running it in slices. */
#ifndef TESTS_UNIT_GENERATED_H
#define TESTS_UNIT_GENERATED_H

#include "codegen/variant.h"
#include "graphs.h"
#include "runtime/base/dtype.h"
#include "runtime/base/kernel_abi.h"

#include <dlfcn.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

/* ports: accesses of x, b, c, dy as far as they are there, then of the outputs: e(lement), c(hannel), s(calar); outputs
   in capitals are sums, M and m maxima per channel and of all: "ec:e" is x, a per-channel operand and y; "ee:eS" x, b, an element output and a scalar sum.
   outputs: one prefix text each, separated by ';'. */
typedef struct kernel_case {
    const char *name, *outputs, *ports;
} kernel_case;

static inline at_port port_of(const char *name, char access, actune_dtype element, actune_dtype compute)
{
    at_port port = {.name = name, .access = AT_ACCESS_ELEMENT, .dtype = element};
    port.reduction = access == 'C' || access == 'S' ? AT_REDUCTION_SUM : access == 'M' || access == 'm' ? AT_REDUCTION_MAX : AT_REDUCTION_NONE;
    if (access == 'c' || access == 'C' || access == 'M')
        port.access = AT_ACCESS_CHANNEL;
    if (access == 's' || access == 'S' || access == 'm')
        port.access = AT_ACCESS_SCALAR;
    if (port.access != AT_ACCESS_ELEMENT)
        port.dtype = compute;
    return port;
}

static at_graph made_graphs[512];
static int made_count;

static inline void release_kernels(void)
{
    for (int i = 0; i < made_count; i++)
        at_graph_clear(&made_graphs[i]);
    made_count = 0;
}

/* Lives until release_kernels. */
static inline at_kernel kernel_of(const kernel_case *c, actune_dtype in, actune_dtype out)
{
    static const char *const inputs[] = {"x", "bias", "scale", "dy"}, *const outputs[] = {"y", "dbias", "dscale"};
    at_kernel kernel = {.spec = c->name, .accuracy = AT_ACCURACY_STANDARD};
    at_signature *s = &kernel.signature;
    for (const char *text = c->outputs; *text; text += *text == ';')
        kernel.graph.output[kernel.graph.outputs++] = read_prefix(&kernel.graph, &text);
    for (int i = 0; i < kernel.graph.count; i++)
        kernel.transcendental |= at_op_get(kernel.graph.nodes[i].op)->transcendental;
    s->dtype_in = in;
    s->dtype_out = out;
    s->compute = in == ACTUNE_F64 || out == ACTUNE_F64 ? ACTUNE_F64 : ACTUNE_F32;
    const char *access = c->ports;
    for (; *access != ':'; access++, s->inputs++)
        s->port[s->inputs] = port_of(inputs[s->inputs], *access, in, s->compute);
    s->ports = s->inputs;
    for (access++; *access; access++, s->ports++) {
        s->port[s->ports] = port_of(outputs[s->ports - s->inputs], *access, out, s->compute);
        s->port[s->ports].is_output = true;
        s->slots += s->port[s->ports].reduction != AT_REDUCTION_NONE;
    }
    for (int i = 0; i < s->ports; i++)
        s->has_channel |= s->port[i].access == AT_ACCESS_CHANNEL;
    cr_assert(made_count < 512);
    made_graphs[made_count++] = kernel.graph;
    return kernel;
}

static inline int run_program(char *const *argv)
{
    pid_t child = fork();
    if (child == 0) {
        execvp(argv[0], argv);
        _exit(127);
    }
    int status;
    waitpid(child, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static inline bool have_program(const char *name)
{
    char *argv[] = {"sh", "-c", (char[128]){0}, NULL};
    snprintf(argv[2], 128, "command -v %s > /dev/null", name);
    return run_program(argv) == 0;
}

/* Compiles with warnings as errors, as an object; NULL when the compiler fails. */
static inline char *compile(const char *compiler, const char *march, const char *source)
{
    static char object[64];
    char folder[] = "/tmp/actune-test-XXXXXX", file[64], march_flag[32];
    cr_assert(mkdtemp(folder));
    snprintf(file, sizeof file, "%s/k.c", folder);
    snprintf(object, sizeof object, "%s/k.so", folder);
    snprintf(march_flag, sizeof march_flag, "-march=%s", march);
    FILE *out = fopen(file, "w");
    cr_assert(out && fputs(source, out) >= 0 && fclose(out) == 0);
    char *argv[] = {(char *)compiler,
                    "-O2",
                    "-Wall",
                    "-Wextra",
                    "-Werror",
                    "-ffp-contract=off",
                    "-fno-math-errno",
                    march_flag,
                    "-fPIC",
                    "-shared",
                    "-o",
                    object,
                    file,
                    "-lm",
                    NULL};
    int status = run_program(argv);
    unlink(file);
    if (status)
        rmdir(folder);
    return status ? NULL : object;
}

static inline void remove_object(char *object)
{
    unlink(object);
    *strrchr(object, '/') = 0;
    rmdir(object);
}

static inline void *load(const char *compiler, const char *march, const char *source)
{
    char *object = compile(compiler, march, source);
    cr_assert(object, "%s refuses:\n%.3000s", compiler, source);
    void *handle = dlopen(object, RTLD_NOW | RTLD_LOCAL);
    cr_assert(handle, "%s", dlerror());
    remove_object(object);
    return handle;
}

/* The highest level this machine runs, and all below it. */
static inline int isa_list(at_isa *isas)
{
    int count = 0;
    for (at_isa isa = AT_ISA_GENERIC; isa <= at_isa_host() && isa <= AT_ISA_X86_V4; isa++)
        isas[count++] = isa;
    return count;
}

static inline const char *march_of(at_isa isa)
{
    return isa == AT_ISA_GENERIC ? "x86-64" : at_isa_name(isa);
}

#endif
