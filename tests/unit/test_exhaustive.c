/* Verification on every input of a type, and on parts of them. */
#include "runtime/base/dtype.h"
#include "tuner/exhaustive.h"
#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char folder[64], database[96], cache_folder[96];
static at_device device;
static at_cache *cache;

static void open_place(void)
{
    strcpy(folder, "/tmp/actune-test-XXXXXX");
    cr_assert(mkdtemp(folder));
    snprintf(database, sizeof database, "%s/tune.db", folder);
    snprintf(cache_folder, sizeof cache_folder, "%s/cache", folder);
    cr_assert_eq(at_device_get("cpu", &device), ACTUNE_OK);
    cr_assert_eq(at_cache_open(cache_folder, &cache), ACTUNE_OK, "%s", actune_last_error());
}

static void close_place(void)
{
    char command[128];
    at_cache_close(cache);
    snprintf(command, sizeof command, "rm -rf %s", folder);
    cr_assert_eq(system(command), 0);
}

static void lower(const char *text, actune_direction direction, actune_dtype dtype, at_kernel *kernel)
{
    at_spec spec;
    at_kernel_request request = {.direction = direction, .dtype_in = dtype, .dtype_out = dtype};
    cr_assert_eq(at_spec_parse(text, &spec), ACTUNE_OK, "%s", actune_last_error());
    cr_assert_eq(at_kernel_lower(&spec, &request, kernel), ACTUNE_OK, "%s", actune_last_error());
    at_spec_clear(&spec);
}

static at_variant usual(const at_kernel *kernel)
{
    at_variant variant;
    at_target target = {.isa = device.isa};
    cr_assert_eq(at_variant_default(kernel, AT_LAYOUT_FLAT, &target, &variant), ACTUNE_OK);
    return variant;
}

static int64_t told, told_of;

static void watch(void *user, const at_exhaustive_progress *progress)
{
    cr_assert(user == &told && progress->done >= told && progress->done <= progress->total && progress->eta_s >= 0);
    told = progress->done;
    told_of = progress->total;
}

static void check_kept(const at_kernel *kernel, const at_variant *variant, const at_verify_report *report)
{
    at_store *store;
    at_store_verification found;
    at_generate_item item = {.kernel = kernel, .layout = AT_LAYOUT_FLAT, .variant = variant};
    at_target target = {.isa = device.isa};
    at_strbuf source = {0};
    cr_assert_eq(at_generate_batch(&item, 1, &target, &source), ACTUNE_OK);
    at_strbuf_clear(&source);
    cr_assert_eq(at_store_open(database, AT_STORE_WRITE, &store), ACTUNE_OK, "%s", actune_last_error());
    cr_assert_eq(at_exhaustive_store(store, &device, kernel, variant, report), ACTUNE_OK, "%s", actune_last_error());
    cr_assert_eq(at_store_find_verification(store, item.source_hash.hex, &found), ACTUNE_OK, "%s", actune_last_error());
    cr_expect(found.passed && !strcmp(found.method, "exhaustive") && found.max_error_ulp == report->max_error_ulp);
    cr_expect_eq(at_store_check(store, NULL, NULL), ACTUNE_OK, "%s", actune_last_error());
    at_store_close(store);
}

Test(exhaustive, narrow_types, .timeout = 120)
{
    static const char *const specs[] = {"sigmoid", "relu | clip(0, 3)"};
    open_place();
    for (int i = 0; i < 8; i++) {
        at_kernel kernel;
        at_verify_report report;
        lower(specs[i / 4], (actune_direction)(i & 1), i & 2 ? ACTUNE_BF16 : ACTUNE_F16, &kernel);
        at_variant variant = usual(&kernel);
        at_exhaustive_options options = {.progress = watch, .user = &told, .threads = 1 + i % 3};
        told = told_of = 0;
        cr_assert_eq(at_verify_exhaustive(cache, &device, &kernel, &variant, &options, &report), ACTUNE_OK, "%s",
                     actune_last_error());
        cr_expect(report.passed && report.exhaustive && report.compared == 65536, "%s: %s", kernel.spec, report.detail);
        cr_expect(told == 65536 && told_of == 65536);
        cr_expect(report.max_share <= 1 && (report.max_error_ulp > 0) == (i < 4), "%s: %g ULP", kernel.spec,
                  report.max_error_ulp);
        if (i == 0)
            check_kept(&kernel, &variant, &report);
        at_kernel_clear(&kernel);
    }
    close_place();
}

/* Two blocks of the 65,536 of f32: first and one in the middle; different parts are different inputs. */
Test(exhaustive, slice_of_f32, .timeout = 120)
{
    open_place();
    at_kernel kernel;
    at_verify_report first, last;
    lower("gelu_tanh", ACTUNE_FORWARD, ACTUNE_F32, &kernel);
    at_variant variant = usual(&kernel);
    at_exhaustive_options options = {.part = 0x3f80 % 32768, .parts = 32768};
    cr_assert_eq(at_verify_exhaustive(cache, &device, &kernel, &variant, &options, &first), ACTUNE_OK, "%s",
                 actune_last_error());
    cr_expect(first.passed && !first.exhaustive && first.compared == 2 * 65536, "%s", first.detail);
    cr_expect(first.max_error_ulp > 0, "x from 1 and from -1 on are rounded");
    options.part = 0x7fc0; /* NaNs */
    cr_assert_eq(at_verify_exhaustive(cache, &device, &kernel, &variant, &options, &last), ACTUNE_OK);
    cr_expect(last.passed && last.max_error_ulp == 0 && last.compared == 2 * 65536, "%s", last.detail);
    options.part = 32768;
    cr_expect_eq(at_verify_exhaustive(cache, &device, &kernel, &variant, &options, &last), ACTUNE_INVALID_ARGUMENT);
    volatile int stop = 1;
    options = (at_exhaustive_options){.stop = &stop};
    cr_expect_eq(at_verify_exhaustive(cache, &device, &kernel, &variant, &options, &last), ACTUNE_INTERRUPTED);
    at_kernel_clear(&kernel);
    close_place();
}

/* A kernel that is wrong for one float of 2^32. */
static void wrong_once(const actune_slice *slice)
{
    const uint32_t *x = slice->port[0];
    uint32_t *y = slice->port[1];
    for (int64_t i = slice->begin; i < slice->end; i++)
        y[i] = x[i] == 0x3fc12345 ? x[i] + 1 : x[i] >> 31 && x[i] << 1 <= 0xff000000 && x[i] << 1 ? 0 : x[i];
}

Test(exhaustive, one_wrong_input)
{
    at_kernel kernel;
    at_oracle *oracle;
    at_verify_report report;
    at_verify_target target = {.function = wrong_once};
    lower("relu", ACTUNE_FORWARD, ACTUNE_F32, &kernel);
    cr_assert_eq(at_oracle_create(&kernel, &oracle), ACTUNE_OK);
    for (uint32_t block = 0x3fc0; block <= 0x3fc2; block++) {
        at_reference reference;
        cr_assert_eq(at_reference_bits(&reference, &kernel, oracle, (uint64_t)block << 16, 65536), ACTUNE_OK);
        cr_assert_eq(at_verify(&reference, &target, &report), ACTUNE_OK);
        cr_expect_eq(report.passed, block != 0x3fc1, "block %x: %s", block, report.detail);
        at_reference_clear(&reference);
    }
    at_oracle_destroy(oracle);
    at_kernel_clear(&kernel);
}

Test(exhaustive, refusals)
{
    static const struct {
        const char *spec, *message;
        actune_direction direction;
        actune_dtype dtype;
    } cases[] = {{"relu", "2^64", ACTUNE_FORWARD, ACTUNE_F64},
                 {"bias | relu", "operands", ACTUNE_FORWARD, ACTUNE_F32},
                 {"prelu(alpha=learn)", "operands", ACTUNE_FORWARD, ACTUNE_F16},
                 {"[from=output] relu", "reads y", ACTUNE_BACKWARD, ACTUNE_F32}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        at_kernel kernel;
        lower(cases[i].spec, cases[i].direction, cases[i].dtype, &kernel);
        cr_expect_eq(at_exhaustive_check(&kernel), ACTUNE_UNSUPPORTED);
        cr_expect(strstr(actune_last_error(), cases[i].message), "%s", actune_last_error());
        at_kernel_clear(&kernel);
    }
}
