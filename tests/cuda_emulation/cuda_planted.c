/* The net catches fish: bugs that are planted into the text of kernels must be found by the emulation, each in its own way. */
#include "unit.h"

#include "tuner/verify.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct planted {
    const char *what;
    const char *spec, *gradient; /* gradient: backward */
    at_layout layout;
    const char *knobs;       /* "name=value ..." */
    const char *from, *to;   /* in the text, every occurrence; from NULL: the kernel as it is */
    const char *caught_by;   /* part of the message; NULL: must pass; "": any wrong result */
} planted;

static const planted list[] = {
    {"nothing", "relu", NULL, AT_LAYOUT_FLAT, "", NULL, NULL, NULL},
    {"nothing, asynchronous copies", "relu", NULL, AT_LAYOUT_FLAT, "copy=async stages=2 grid=x2 block=64", NULL, NULL, NULL},
    {"nothing, bulk copies", "relu", NULL, AT_LAYOUT_FLAT, "copy=bulk stages=2 grid=x2 block=64", NULL, NULL, NULL},
    {"nothing, sums", "prelu(alpha=learn)", "alpha", AT_LAYOUT_FLAT, "", NULL, NULL, NULL},
    {"no wait for an asynchronous copy", "relu", NULL, AT_LAYOUT_FLAT, "copy=async stages=2 grid=x2 block=64", "        copy_async_wait_1();",
     "", ""},
    {"no wait for a bulk copy", "relu", NULL, AT_LAYOUT_FLAT, "copy=bulk stages=2 grid=x2 block=64", "barrier_wait(&landed[stage], phase);", "",
     ""},
    {"a stage is filled again without a barrier", "relu", NULL, AT_LAYOUT_FLAT, "copy=bulk stages=1 grid=x2 block=64",
     "__syncthreads(); /* all have read", "; /* all have read", ""},
    {"no barrier before sums are read", "prelu(alpha=learn)", "alpha", AT_LAYOUT_FLAT, "", "__syncthreads();", ";", ""},
    {"a barrier that half a block reaches", "prelu(alpha=learn)", "alpha", AT_LAYOUT_FLAT, "", "__syncthreads();",
     "if (threadIdx.x < 32) __syncthreads();", "barrier"},
    {"a misaligned vector", "relu", NULL, AT_LAYOUT_FLAT, "", "return (unsigned long long)pointer % bytes == 0;", "return true;", "not aligned"},
    {"an access beyond the end", "relu", NULL, AT_LAYOUT_FLAT, "", "r < n - full * 4", "r < n - full * 4 + 64", "outside a buffer"},
    {"a vector that is not written", "relu", NULL, AT_LAYOUT_FLAT, "", "if (first < full)", "if (first + 1 < full)", ""},
};

static int failures;

static char *replace_all(const char *text, const char *from, const char *to, int *count)
{
    size_t room = 4 * strlen(text) + 1;
    char *made = malloc(room), *out = made;
    if (!made)
        exit(1);
    for (*count = 0; *text;) {
        if (from && !strncmp(text, from, strlen(from))) {
            out = stpcpy(out, to);
            text += strlen(from);
            ++*count;
        } else
            *out++ = *text++;
    }
    *out = 0;
    return made;
}

static void judge(const planted *p, emu_kernel *kernel, const at_reference *reference)
{
    at_verify_target target = {.run = emu_kernel_run, .run_user = kernel};
    at_verify_report report;
    actune_status status = at_verify(reference, &target, &report);
    const char *found = status ? actune_last_error() : report.passed ? NULL : report.detail;
    bool right = p->caught_by ? found && strstr(found, p->caught_by) : !found;
    failures += !right;
    printf("%-8s %s: %s\n", right ? "ok" : "FAILED", p->what, found ? found : "passes");
}

static void set_knobs(at_variant *variant, const char *settings)
{
    char copy[256], *rest = NULL;
    snprintf(copy, sizeof copy, "%s restrict=no", settings);
    for (char *word = strtok_r(copy, " ", &rest); word; word = strtok_r(NULL, " ", &rest)) {
        char *equals = strchr(word, '=');
        *equals = 0;
        if (at_variant_set(variant, word, equals + 1)) {
            failures++;
            puts(actune_last_error());
        }
    }
}

static void plant(const planted *p)
{
    static at_spec spec;
    static at_kernel kernel;
    at_variant variant;
    at_target target = {.cuda = true, .cuda_arch = 90};
    at_kernel_request request = {p->gradient ? ACTUNE_BACKWARD : ACTUNE_FORWARD, ACTUNE_F32, ACTUNE_F32, &p->gradient, p->gradient != NULL};
    at_generate_options options = {.symbol = "kernel", .pretty = true};
    at_strbuf source = {0};
    at_reference reference = {0};
    emu_unit unit = {0};
    emu_kernel made;
    int count = 0;
    if (at_spec_parse(p->spec, &spec) || at_kernel_lower(&spec, &request, &kernel) ||
        at_variant_default(&kernel, p->layout, &target, &variant)) {
        failures++;
        puts(actune_last_error());
        return;
    }
    set_knobs(&variant, p->knobs);
    actune_status status = at_generate(&kernel, p->layout, &target, &variant, &options, &source);
    char *text = replace_all(status ? "" : at_strbuf_text(&source), p->from, p->to, &count);
    if (p->from && !count) {
        failures++;
        printf("FAILED   %s: the text to be changed is not in the kernel\n", p->what);
    } else if (status || emu_unit_build(text, &unit) || emu_kernel_find(&unit, &kernel, p->layout, &variant, "kernel", &made) ||
               at_reference_init(&reference, &kernel, p->layout, 1)) {
        failures++;
        printf("FAILED   %s: %s\n", p->what, actune_last_error());
    } else
        judge(p, &made, &reference);
    free(text);
    at_reference_clear(&reference);
    emu_unit_close(&unit);
    at_strbuf_clear(&source);
    at_kernel_clear(&kernel);
    at_spec_clear(&spec);
}

int main(void)
{
    const at_compiler *compiler;
    if (at_compiler_get(&compiler) || !compiler->is_clang) {
        puts("skipped: the emulation needs clang");
        return 77;
    }
    for (size_t i = 0; i < sizeof list / sizeof *list; i++)
        plant(&list[i]);
    return failures > 0;
}
