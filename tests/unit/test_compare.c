/* What `actune bench` measures: which arms there are, and that figures fit one another. */
#include "db/store.h"
#include "tuner/compare.h"
#include "tuner/tune.h"
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
    setenv("XDG_RUNTIME_DIR", folder, 1);
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

static void lower(const char *text, actune_direction direction, const char *gradient, at_kernel *kernel)
{
    at_spec spec;
    at_kernel_request request = {direction, ACTUNE_F32, ACTUNE_F32, &gradient, gradient != NULL};
    cr_assert_eq(at_spec_parse(text, &spec), ACTUNE_OK, "%s", actune_last_error());
    cr_assert_eq(at_kernel_lower(&spec, &request, kernel), ACTUNE_OK, "%s", actune_last_error());
    at_spec_clear(&spec);
}

static const at_compare_line *line(const at_comparison *c, const char *name)
{
    const at_compare_line *found = NULL;
    for (int i = 0; i < c->lines; i++)
        if (!strcmp(c->line[i].name, name)) {
            cr_expect(!found, "%s stands twice", name);
            found = &c->line[i];
        }
    return found;
}

static void check_figures(const at_comparison *c, const at_kernel *kernel, actune_shape shape)
{
    const at_compare_line *copy = line(c, "memcpy");
    cr_assert(copy && copy == &c->line[0] && copy->speed.median == 1);
    for (int i = 0; i < c->lines; i++) {
        const at_compare_line *l = &c->line[i];
        double bytes = (double)at_workload_bytes(&kernel->signature, shape);
        cr_expect(l->low_ns <= l->median_ns && l->median_ns <= l->high_ns && l->low_ns > 0, "%s", l->name);
        cr_expect(l->speed.low <= l->speed.median && l->speed.median <= l->speed.high, "%s", l->name);
        cr_expect_float_eq(l->gbps * l->median_ns, bytes, 1e-6 * bytes);
    }
    cr_expect(c->noise >= 0 && c->rounds == 5 && c->sets >= 1);
}

static int calls;

/* A peer that takes much longer than anything else. */
static void slow_peer(void *self, void *const *port)
{
    cr_assert(self == &calls && port[0] && port[1]);
    ++calls;
    usleep(300);
}

Test(compare, arms, .timeout = 120)
{
    static const char *const always[] = {"memcpy", "tuned", "null", "default", "copy"};
    static const char *const name = "peer";
    at_kernel kernel;
    at_comparer comparer;
    at_comparison result;
    open_place();
    lower("relu", ACTUNE_FORWARD, NULL, &kernel);
    cr_assert_eq(at_comparer_open(cache, &device, database, 1, &comparer), ACTUNE_OK, "%s", actune_last_error());
    at_arm peer = {.kind = AT_ARM_CALL, .call = slow_peer, .self = &calls};
    at_compare_request request = {
        .kernel = &kernel, .shape = {1, 1, 5000}, .rounds = 5, .extra = &peer, .extra_name = &name, .extras = 1};
    cr_assert_eq(at_compare(&comparer, &request, &result), ACTUNE_OK, "%s", actune_last_error());
    for (size_t i = 0; i < sizeof always / sizeof *always; i++)
        cr_expect(line(&result, always[i]), "no %s", always[i]);
    cr_expect(line(&result, "plain loop") && line(&result, "peer") && result.lines == 7);
    cr_expect_geq(calls, 5);
    cr_expect_lt(line(&result, "peer")->speed.median, 0.5, "one that sleeps is slower than a copy");
    cr_expect_str_eq(result.tier, "default", "nothing is tuned");
    cr_expect_str_eq(result.tuned, result.plain);
    check_figures(&result, &kernel, request.shape);
    request.extras = 0;
    request.in_place = true;
    cr_assert_eq(at_compare(&comparer, &request, &result), ACTUNE_OK, "%s", actune_last_error());
    cr_expect(!line(&result, "plain loop") && !line(&result, "peer"), "the loop's pointers are restrict");
    check_figures(&result, &kernel, request.shape);
    volatile int stop = 1;
    request.stop = &stop;
    cr_expect_eq(at_compare(&comparer, &request, &result), ACTUNE_INTERRUPTED);
    at_comparer_close(&comparer);
    at_kernel_clear(&kernel);
    lower("bias | silu", ACTUNE_BACKWARD, "bias", &kernel);
    cr_assert_eq(at_comparer_open(cache, &device, "", 0, &comparer), ACTUNE_OK, "%s", actune_last_error());
    request = (at_compare_request){.kernel = &kernel, .shape = {16, 64, 1}, .rounds = 5};
    cr_assert_eq(at_compare(&comparer, &request, &result), ACTUNE_OK, "%s", actune_last_error());
    cr_expect(line(&result, "plain loop"));
    check_figures(&result, &kernel, request.shape);
    at_comparer_close(&comparer);
    at_kernel_clear(&kernel);
    close_place();
}

/* "tuned" is what a plan would run: the stored winner. */
Test(compare, takes_the_winner, .timeout = 120)
{
    at_kernel kernel;
    at_comparer comparer;
    at_comparison result;
    at_store *store;
    at_tune_result tuned[1];
    open_place();
    lower("elu", ACTUNE_FORWARD, NULL, &kernel);
    const at_tune_item items[] = {{&kernel, {1, 1, 4096}, false}};
    at_tune_options options = {.budget_s = 5};
    cr_assert_eq(at_store_open(database, AT_STORE_WRITE, &store), ACTUNE_OK);
    cr_assert_eq(at_tune(store, cache, &device, items, 1, &options, tuned), ACTUNE_OK, "%s", actune_last_error());
    at_store_close(store);
    cr_assert_eq(at_comparer_open(cache, &device, database, 0, &comparer), ACTUNE_OK, "%s", actune_last_error());
    at_compare_request request = {.kernel = &kernel, .shape = {1, 1, 4096}, .rounds = 5};
    cr_assert_eq(at_compare(&comparer, &request, &result), ACTUNE_OK, "%s", actune_last_error());
    cr_expect_str_eq(result.tier, "exact");
    cr_expect_str_eq(result.tuned, tuned[0].variant);
    request.shape.inner = 16384;
    cr_assert_eq(at_compare(&comparer, &request, &result), ACTUNE_OK, "%s", actune_last_error());
    cr_expect_str_eq(result.tier, "nearest size");
    at_comparer_close(&comparer);
    at_kernel_clear(&kernel);
    close_place();
}
