/* How long NVRTC takes for one kernel: PTX alone, and the cubin, beside a kernel that does nearly nothing. Needs NVRTC, no GPU.

   bench_nvrtc_compile [--arch N] [--rounds N] [FILE.cu ...]

   Without files the default variants of a few specs. Files are compared in the same rounds: `actune gen --target cuda` of two versions before
   and after a change. CPU time is printed first: it says the same on a machine that others use. */
#include "codegen/generate.h"
#include "codegen/lower.h"
#include "runtime/backend/nvrtc.h"
#include "tuner/stats.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { TEXTS_MAX = 32, ROUNDS_MAX = 101 };

typedef struct text {
    const char *name;
    char *source;
    double cpu[2][ROUNDS_MAX], wall[2][ROUNDS_MAX]; /* PTX, cubin */
    size_t bytes;
} text;

static text texts[TEXTS_MAX];
static int count;

static void must(actune_status status)
{
    if (status == ACTUNE_OK)
        return;
    fprintf(stderr, "bench_nvrtc_compile: %s\n", actune_last_error());
    exit(1);
}

static double now_ms(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return 1e3 * (double)now.tv_sec + 1e-6 * (double)now.tv_nsec;
}

static void add(const char *name, const char *source)
{
    if (count == TEXTS_MAX)
        must(at_fail(ACTUNE_INVALID_ARGUMENT, "at most %d kernels at once", TEXTS_MAX - 1));
    texts[count].name = name;
    texts[count++].source = strdup(source);
}

static void add_file(const char *path)
{
    static char source[1 << 20];
    FILE *file = fopen(path, "r");
    if (!file)
        must(at_fail(ACTUNE_IO, "%s cannot be read", path));
    source[fread(source, 1, sizeof source - 1, file)] = '\0';
    fclose(file);
    add(path, source);
}

static void add_spec(const char *spec_text, at_layout layout, actune_dtype dtype, int arch)
{
    static at_spec spec;
    static at_kernel kernel;
    const at_target target = {.cuda = true, .cuda_arch = arch};
    const at_kernel_request request = {ACTUNE_FORWARD, dtype, dtype, NULL, 0};
    at_variant variant;
    at_strbuf source = {0};
    must(at_spec_parse(spec_text, &spec));
    must(at_kernel_lower(&spec, &request, &kernel));
    must(at_variant_default(&kernel, layout, &target, &variant));
    must(at_generate(&kernel, layout, &target, &variant, &(at_generate_options){.symbol = "kernel"}, &source));
    add(spec_text, at_strbuf_text(&source));
    at_strbuf_clear(&source);
    at_kernel_clear(&kernel);
    at_spec_clear(&spec);
}

/* A comment that no round has seen: nothing may come from a cache. */
static void compile(text *of, int round, int arch, bool cubin)
{
    at_strbuf source = {0};
    at_nvrtc_output output;
    at_strbuf_printf(&source, "%s\n/* %d %lld */\n", of->source, round, (long long)(1e6 * now_ms(CLOCK_REALTIME)));
    double cpu = now_ms(CLOCK_PROCESS_CPUTIME_ID), wall = now_ms(CLOCK_MONOTONIC);
    must(at_nvrtc_compile(at_strbuf_text(&source), "kernel.cu", arch, cubin, &output));
    if (round >= 0) {
        of->cpu[cubin][round] = now_ms(CLOCK_PROCESS_CPUTIME_ID) - cpu;
        of->wall[cubin][round] = now_ms(CLOCK_MONOTONIC) - wall;
    }
    of->bytes = output.bytes;
    at_nvrtc_output_clear(&output);
    at_strbuf_clear(&source);
}

static void print(int rounds)
{
    printf("%8s %8s %8s %8s %8s  kernel (ms, medians of %d interleaved rounds)\n", "cpu", "of it PTX", "wall", "PTX", "bytes", rounds);
    for (int i = 0; i < count; i++)
        printf("%8.1f %8.1f %8.1f %8.1f %8zu  %s\n", at_median(texts[i].cpu[1], rounds), at_median(texts[i].cpu[0], rounds),
               at_median(texts[i].wall[1], rounds), at_median(texts[i].wall[0], rounds), texts[i].bytes, texts[i].name);
}

static int number(const char *value, int least, int most, const char *option)
{
    char *end = "x";
    long parsed = value ? strtol(value, &end, 10) : 0;
    if (*end || parsed < least || parsed > most)
        must(at_fail(ACTUNE_INVALID_ARGUMENT, "%s takes a number from %d to %d", option, least, most));
    return (int)parsed;
}

int main(int argc, char **argv)
{
    int arch = 90, rounds = 15;
    add("(a copy of one element a thread)", "extern \"C\" __global__ void kernel(const float *x, float *y, long long n)\n"
                                            "{\n    if (threadIdx.x < n)\n        y[threadIdx.x] = x[threadIdx.x];\n}\n");
    for (int i = 1; i < argc; i++) {
        if (!strcmp(argv[i], "--arch"))
            arch = number(argv[++i], 50, 999, "--arch");
        else if (!strcmp(argv[i], "--rounds"))
            rounds = number(argv[++i], 1, ROUNDS_MAX, "--rounds");
        else
            add_file(argv[i]);
    }
    if (count == 1) {
        add_spec("relu", AT_LAYOUT_FLAT, ACTUNE_F32, arch);
        add_spec("gelu", AT_LAYOUT_FLAT, ACTUNE_F16, arch);
        add_spec("elu", AT_LAYOUT_FLAT, ACTUNE_F32, arch);
        add_spec("bias | silu", AT_LAYOUT_CHANNEL_INNER, ACTUNE_F32, arch);
        add_spec("scale_shift | add | relu", AT_LAYOUT_CHANNEL_OUTER, ACTUNE_F16, arch);
    }
    for (int r = -1; r < rounds; r++) /* the first loads NVRTC's built-ins */
        for (int i = 0; i < count; i++)
            for (int cubin = 0; cubin < 2; cubin++)
                compile(&texts[i], r, arch, cubin);
    print(rounds);
    for (int i = 0; i < count; i++)
        free(texts[i].source);
    return 0;
}
