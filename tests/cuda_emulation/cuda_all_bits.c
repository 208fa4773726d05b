/* All 65,536 numbers of f16 and of bf16 through generated CUDA kernels, forward and backward, CUDA's functions and instructions being as far
   off as they may be. Every other test takes samples. */
#include "unit.h"

#include "runtime/base/dtype.h"
#include "tuner/verify.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ARCH = 90, NUMBERS = 65536, ITEMS_MAX = 256 };

static const char *const specs[] = {"gelu", "gelu_tanh", "silu", "mish", "sigmoid", "softplus", "tanh", "tanhshrink",
                                    "elu", "selu", "hardswish", "[accuracy=exact] gelu", "[accuracy=fast] tanh"};
static const char *const math_names[] = {"exact", "ex2", "tanh"};

typedef struct item {
    at_spec spec;
    at_kernel kernel;
    at_variant variant;
    char symbol[32];
} item;

static item *items[ITEMS_MAX];
static int count, failures;

static void fail_item(const item *i, const char *what)
{
    failures++;
    printf("%s %s %s, math=%s: %s\n", i->kernel.spec, i->kernel.signature.direction == ACTUNE_BACKWARD ? "backward" : "forward",
           at_dtype_get(i->kernel.signature.dtype_in)->name, at_variant_knob(&i->variant, "math", ""), what);
}

static actune_status fill(item *i, const char *spec, actune_direction direction, actune_dtype dtype, const char *math)
{
    const at_target target = {.cuda = true, .cuda_arch = ARCH};
    const at_kernel_request request = {direction, dtype, dtype, NULL, 0};
    AT_TRY(at_spec_parse(spec, &i->spec));
    AT_TRY(at_kernel_lower(&i->spec, &request, &i->kernel));
    AT_TRY(at_variant_default(&i->kernel, AT_LAYOUT_FLAT, &target, &i->variant));
    return at_variant_set(&i->variant, "math", math);
}

static void release(item *i)
{
    at_kernel_clear(&i->kernel);
    at_spec_clear(&i->spec);
    free(i);
}

/* UNSUPPORTED: the class does not admit this math. */
static actune_status write_item(item *i, at_strbuf *source)
{
    const at_target target = {.cuda = true, .cuda_arch = ARCH};
    const at_generate_options options = {.symbol = i->symbol, .pretty = true};
    at_strbuf text = {0};
    actune_status status = at_generate(&i->kernel, AT_LAYOUT_FLAT, &target, &i->variant, &options, &text);
    if (!status)
        at_strbuf_printf(source, "namespace unit_%d {\n%s\n}\n", count, at_strbuf_text(&text));
    at_strbuf_clear(&text);
    return status;
}

static void add(const char *spec, actune_direction direction, actune_dtype dtype, const char *math, at_strbuf *source)
{
    item *made = calloc(1, sizeof *made);
    actune_status status = made ? fill(made, spec, direction, dtype, math) : ACTUNE_NO_MEMORY;
    if (!status) {
        snprintf(made->symbol, sizeof made->symbol, "kernel_%d", count);
        status = write_item(made, source);
    }
    if (!status) {
        items[count++] = made;
        return;
    }
    if (status != ACTUNE_UNSUPPORTED) {
        failures++;
        printf("%s: %s\n", spec, actune_last_error());
    }
    if (made)
        release(made);
}

static actune_status verify_item(const emu_unit *unit, const item *i, at_verify_report *report)
{
    at_oracle *oracle;
    at_reference reference = {0};
    emu_kernel kernel;
    const at_verify_target target = {.run = emu_kernel_run, .run_user = &kernel};
    AT_TRY(emu_kernel_find(unit, &i->kernel, AT_LAYOUT_FLAT, &i->variant, i->symbol, &kernel));
    AT_TRY(at_oracle_create(&i->kernel, &oracle));
    actune_status status = at_reference_bits(&reference, &i->kernel, oracle, 0, NUMBERS);
    if (!status)
        status = at_verify(&reference, &target, report);
    at_reference_clear(&reference);
    at_oracle_destroy(oracle);
    return status;
}

static void verify_all(const char *source)
{
    emu_unit unit;
    if (emu_unit_build(source, &unit)) {
        failures++;
        puts(actune_last_error());
        return;
    }
    for (int k = 0; k < count; k++) {
        at_verify_report report = {0};
        if (verify_item(&unit, items[k], &report))
            fail_item(items[k], actune_last_error());
        else if (!report.passed)
            fail_item(items[k], report.detail);
        else if (report.compared < NUMBERS)
            fail_item(items[k], "not all numbers were compared");
    }
    emu_unit_close(&unit);
}

int main(void)
{
    const at_compiler *compiler;
    at_strbuf source = {0};
    if (at_compiler_get(&compiler) || !compiler->is_clang) {
        puts("skipped: the emulation needs clang");
        return 77;
    }
    for (size_t s = 0; s < sizeof specs / sizeof *specs; s++)
        for (int d = 0; d < 4; d++)
            for (size_t m = 0; m < sizeof math_names / sizeof *math_names; m++)
                add(specs[s], d & 1 ? ACTUNE_BACKWARD : ACTUNE_FORWARD, d & 2 ? ACTUNE_BF16 : ACTUNE_F16, math_names[m], &source);
    verify_all(at_strbuf_text(&source));
    printf("all numbers of f16 and bf16: %d kernels, %d failed\n", count, failures);
    for (int k = 0; k < count; k++)
        release(items[k]);
    at_strbuf_clear(&source);
    return failures || count < 60;
}
