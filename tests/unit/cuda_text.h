/* Kernels and variants of CUDA templates for tests. */
#ifndef TESTS_CUDA_TEXT_H
#define TESTS_CUDA_TEXT_H

#include "codegen/emit_cuda.h"
#include "runtime/backend/nvrtc.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

static inline void make_kernel(const char *text, at_kernel_request request, at_kernel *kernel)
{
    static at_spec spec;
    cr_assert_eq(at_spec_parse(text, &spec), ACTUNE_OK, "%s", actune_last_error());
    cr_assert_eq(at_kernel_lower(&spec, &request, kernel), ACTUNE_OK, "%s: %s", text, actune_last_error());
    at_spec_clear(&spec);
}

/* The default variant with `settings` ("knob=value ...") on top. */
static inline void make_variant(const at_kernel *kernel, at_layout layout, int arch, const char *settings, at_variant *variant)
{
    at_target target = {.cuda = true, .cuda_arch = arch};
    char copy[256], *rest = NULL;
    cr_assert_eq(at_variant_default(kernel, layout, &target, variant), ACTUNE_OK, "%s", actune_last_error());
    snprintf(copy, sizeof copy, "%s", settings);
    for (char *word = strtok_r(copy, " ", &rest); word; word = strtok_r(NULL, " ", &rest)) {
        char *equals = strchr(word, '=');
        *equals = 0;
        cr_assert_eq(at_variant_set(variant, word, equals + 1), ACTUNE_OK, "%s", actune_last_error());
    }
}

static inline actune_status make_text(const at_kernel *kernel, at_layout layout, int arch, const at_variant *variant, at_strbuf *out)
{
    at_target target = {.cuda = true, .cuda_arch = arch};
    at_generate_options options = {.pretty = true, .symbol = "kernel"};
    return at_generate(kernel, layout, &target, variant, &options, out);
}

static inline bool have_nvrtc(void)
{
    int major, minor;
    const char *path;
    if (at_nvrtc_version(&major, &minor, &path) == ACTUNE_OK)
        return true;
    printf("skipped: %s\n", actune_last_error());
    return false;
}

/* Hundreds of programs: AddressSanitizer sees nothing in NVRTC and makes it three times slower. */
static inline bool may_compile_many(void)
{
#ifdef __SANITIZE_ADDRESS__
    puts("skipped under AddressSanitizer");
    return false;
#else
    return have_nvrtc();
#endif
}

#endif
