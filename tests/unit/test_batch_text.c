/* The CUDA text of a batch: what it looks like, which functions it has, and that NVRTC takes it without a stack frame. */
#include "cuda_text.h"

#include "codegen/batch_kernel.h"

#include <stdlib.h>

typedef struct row {
    const char *spec, *math;
    actune_direction direction;
    actune_dtype dtype;
    at_layout layout;
} row;

static const row rows[] = {
    {"relu", "exact", ACTUNE_FORWARD, ACTUNE_F32, AT_LAYOUT_FLAT},
    {"gelu_tanh | clip(-6, 6)", "exact", ACTUNE_FORWARD, ACTUNE_F32, AT_LAYOUT_FLAT},
    {"bias | silu", "exact", ACTUNE_BACKWARD, ACTUNE_F16, AT_LAYOUT_CHANNEL_INNER},
    {"scale_shift | add | relu", "exact", ACTUNE_FORWARD, ACTUNE_BF16, AT_LAYOUT_CHANNEL_OUTER},
    {"swish(beta=learn)", "ex2", ACTUNE_FORWARD, ACTUNE_BF16, AT_LAYOUT_FLAT},
    {"gelu | dropout(0.1)", "exact", ACTUNE_FORWARD, ACTUNE_F64, AT_LAYOUT_FLAT},
    {"[accuracy=exact] gelu", "wide", ACTUNE_FORWARD, ACTUNE_F32, AT_LAYOUT_FLAT},
};
enum { ROWS = sizeof rows / sizeof *rows };

static void make_functions(at_kernel *kernel, at_batch_function *function)
{
    for (int i = 0; i < ROWS; i++) {
        make_kernel(rows[i].spec, (at_kernel_request){rows[i].direction, rows[i].dtype, rows[i].dtype, NULL, 0}, &kernel[i]);
        function[i] = (at_batch_function){&kernel[i], rows[i].layout, rows[i].math};
    }
}

static void clear_kernels(at_kernel *kernel)
{
    for (int i = 0; i < ROWS; i++)
        at_kernel_clear(&kernel[i]);
}

Test(batch_text, has_every_function_and_nothing_of_the_template)
{
    static at_kernel kernel[ROWS];
    at_batch_function function[ROWS];
    at_target target = {.cuda = true, .cuda_arch = 90};
    at_strbuf text = {0};
    make_functions(kernel, function);
    cr_assert_eq(at_generate_batch_kernel(function, ROWS, 32, &target, "cuda/batch", false, &text), ACTUNE_OK, "%s", actune_last_error());
    const char *source = at_strbuf_text(&text);
    for (int i = 0; i < ROWS; i++) {
        char wanted[128];
        snprintf(wanted, sizeof wanted, "// %s (", kernel[i].spec);
        cr_assert(strstr(source, wanted), "%s is missing", wanted);
        snprintf(wanted, sizeof wanted, "member_%d::run(work, buffers);", i);
        cr_assert(strstr(source, wanted), "%s is missing", wanted);
    }
    cr_assert(strstr(source, "void *of[32];") && !strstr(source, "${") && !strstr(source, "$if") && !strstr(source, "#line"), "%s", source);
    if (getenv("ACTUNE_SHOW"))
        puts(source);
    at_strbuf_clear(&text);
    clear_kernels(kernel);
}

Test(batch_text, refuses_variants_that_are_none)
{
    static at_kernel kernel[ROWS];
    at_batch_function function[ROWS];
    at_target target = {.cuda = true, .cuda_arch = 90};
    at_batch_geometry geometry;
    at_strbuf text = {0};
    make_functions(kernel, function);
    cr_assert_eq(at_generate_batch_kernel(function, ROWS, 32, &target, "cuda/elementwise", false, &text), ACTUNE_INVALID_ARGUMENT);
    cr_assert_eq(at_generate_batch_kernel(function, ROWS, 32, &target, "cuda/batch block=7", false, &text), ACTUNE_INVALID_ARGUMENT);
    cr_assert_eq(at_generate_batch_kernel(function, ROWS, 32, &target, "cuda/batch block=512 min_blocks=4 vectors=1", false, &text), ACTUNE_OK);
    target.cuda_arch = 75; /* 1024 threads an SM */
    cr_assert_eq(at_generate_batch_kernel(function, ROWS, 32, &target, "cuda/batch block=512 min_blocks=4", false, &text), ACTUNE_UNSUPPORTED);
    cr_assert_eq(at_batch_geometry_of("cuda/batch block=128 vectors=4", &geometry), ACTUNE_OK);
    cr_assert(geometry.block == 128 && at_batch_piece_elements(&kernel[0], &geometry) == 2048 && at_batch_piece_elements(&kernel[2], &geometry) == 4096);
    at_strbuf_clear(&text);
    clear_kernels(kernel);
}

/* Bytes of the kernel's own; a few are spilled registers. */
static int stack_frame(const char *log)
{
    const char *end = strstr(log, " bytes stack frame"), *start = end;
    while (start && start > log && start[-1] != ' ')
        start--;
    return start ? atoi(start) : 1 << 20;
}

/* Addresses are an argument that is looked into at a place known when it runs: a copy of them in local memory would cost each thread kilobytes. */
Test(batch_text, nvrtc_keeps_the_addresses_where_they_are, .timeout = 300)
{
    static const struct {
        int arch, pointers;
        const char *variant;
    } cases[] = {{80, 500, "cuda/batch"}, {90, 4080, "cuda/batch vectors=4"}, {100, 32, "cuda/batch block=128 load=no_allocate store=cs"}};
    static at_kernel kernel[ROWS];
    at_batch_function function[ROWS];
    if (!may_compile_many())
        return;
    make_functions(kernel, function);
    for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
        at_target target = {.cuda = true, .cuda_arch = cases[c].arch};
        at_strbuf source = {0};
        at_nvrtc_output output;
        cr_assert_eq(at_generate_batch_kernel(function, ROWS, cases[c].pointers, &target, cases[c].variant, true, &source), ACTUNE_OK, "%s",
                     actune_last_error());
        actune_status status = at_nvrtc_compile(at_strbuf_text(&source), "batch.cu", cases[c].arch, true, &output);
        if (status != ACTUNE_UNSUPPORTED) { /* an NVRTC that is older than the architecture */
            cr_assert_eq(status, ACTUNE_OK, "sm_%d: %s\n%s", cases[c].arch, actune_last_error(), at_strbuf_text(&source));
            cr_assert(!strstr(output.log, "warning") && stack_frame(output.log) < 128, "sm_%d: %s", cases[c].arch, output.log);
            printf("sm_%d: %d registers, %d bytes of spills\n", cases[c].arch, output.registers, output.spill_bytes);
            at_nvrtc_output_clear(&output);
        }
        at_strbuf_clear(&source);
    }
    clear_kernels(kernel);
}
