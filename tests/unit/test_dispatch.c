/* From the database to the variant that a plan runs: tiers, staleness, kin, fallbacks. */
#include "codegen/kernel.h"
#include "db/store.h"
#include "runtime/dispatch.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char folder[128], database[160];

static void set_up(void)
{
    snprintf(folder, sizeof folder, "/tmp/actune-test-dispatch-%ld", (long)getpid());
    snprintf(database, sizeof database, "%s/actune.db", folder);
    cr_assert_eq(mkdir(folder, 0700), 0);
    setenv("ACTUNE_DB", database, 1);
    unsetenv("ACTUNE_INTERPRET");
}

static void tear_down(void)
{
    char command[256];
    snprintf(command, sizeof command, "rm -rf '%s'", folder);
    cr_assert_eq(system(command), 0);
}

TestSuite(dispatch, .init = set_up, .fini = tear_down);

#define OK(call) cr_assert_eq((call), ACTUNE_OK, "%s", actune_last_error())

typedef struct winner {
    const char *device, *kernel, *variant, *source_hash, *layout;
    int size, channel, inner;
    bool in_place;
    const char *regime;
    const char *ours; /* with the same hash; NULL: the winner is ours */
} winner;

static void put_device(at_store *store, const char *id, const char *model, const char *capability)
{
    at_store_device device = {.id = id, .kind = "cpu", .model = model, .capability = capability, .processors = 2};
    OK(at_store_put_device(store, &device));
}

static void put_winner(at_store *store, const winner *w)
{
    int64_t session, variant;
    at_store_kernel kernel = {w->kernel, "clip(-1, 1)", "forward", "f32", "f32", "standard"};
    at_store_session run = {.device = w->device, .environment = "{}", .protocol = "{}", .seed = 1};
    at_store_variant text = {.kernel = w->kernel, .source_hash = w->source_hash, .text = w->variant};
    OK(at_store_put_kernel(store, &kernel));
    OK(at_store_put_session(store, &run, &session));
    OK(at_store_put_variant(store, &text, &variant));
    int64_t ours = 0;
    text.text = w->ours;
    if (w->ours)
        OK(at_store_put_variant(store, &text, &ours));
    at_store_choice choice = {.device = w->device,
                              .kernel = w->kernel,
                              .variant = variant,
                              .ours = ours,
                              .session = session,
                              .median_ns = 100,
                              .ratio_to_copy = 1,
                              .gain_over_default = 1,
                              .pct_roof = 1,
                              .tie_set = "",
                              .origin = "measured"};
    choice.workload = (at_store_workload){.layout = w->layout,
                                          .size_bucket = w->size,
                                          .channel_bucket = w->channel,
                                          .inner_bucket = w->inner,
                                          .in_place = w->in_place,
                                          .regime = w->regime ? w->regime : "warm"};
    OK(at_store_put_choice(store, &choice));
}

static at_hash hash(const char *text)
{
    return at_hash_text(text);
}

Test(dispatch, tiers_from_the_database)
{
    at_device device = {
        .id = "cpu-self", .kind = "cpu", .model = "Model A", .capability = "x86-64-v4", .l3_bytes = 1 << 25};
    at_store *store;
    OK(at_store_open(database, AT_STORE_WRITE, &store));
    put_device(store, "cpu-self", "Model A", "x86-64-v4");
    put_device(store, "cpu-twin", "Model A", "x86-64-v4");
    put_device(store, "cpu-cousin", "Model B", "x86-64-v4");
    put_device(store, "cpu-stranger", "Model A", "x86-64-v2");
    at_hash k = hash("kernel"), lonely = hash("lonely"), foreign = hash("foreign"), both = hash("both"), theirs = hash("theirs"),
            s1 = hash("1"), s2 = hash("2"), s3 = hash("3");
    const winner winners[] = {
        {"cpu-self", k.hex, "own 14", s1.hex, "flat", 14, 0, 0, false, NULL, NULL},
        {"cpu-self", k.hex, "own 24 cold", s2.hex, "flat", 24, 0, 0, false, "cold", NULL},
        {"cpu-self", k.hex, "own 24 warm", s3.hex, "flat", 24, 0, 0, false, "warm", NULL},
        {"cpu-self", k.hex, "own 10 cold", s2.hex, "flat", 10, 0, 0, false, "cold", NULL},
        {"cpu-self", k.hex, "own 10 warm", s3.hex, "flat", 10, 0, 0, false, "warm", NULL},
        {"cpu-self", k.hex, "own rows", s1.hex, "channel_inner", 20, 8, 0, false, NULL, NULL},
        {"cpu-twin", k.hex, "twin 14", s1.hex, "flat", 14, 0, 0, false, NULL, NULL},
        {"cpu-cousin", k.hex, "own 14", s1.hex, "flat", 14, 0, 0, false, NULL, NULL},
        {"cpu-cousin", lonely.hex, "cousin 20", s1.hex, "flat", 20, 0, 0, false, NULL, NULL},
        {"cpu-self", theirs.hex, "cudnn 12", s1.hex, "flat", 12, 0, 0, false, NULL, "ours 12"},
        {"cpu-self", theirs.hex, "cudnn 18", s1.hex, "flat", 18, 0, 0, false, NULL, "ours 18"},
        {"cpu-self", theirs.hex, "own 20", s1.hex, "flat", 20, 0, 0, false, NULL, NULL},
        {"cpu-twin", theirs.hex, "cudnn 12", s2.hex, "flat", 12, 0, 0, false, NULL, "twin's 12"},
        {"cpu-self", both.hex, "own store=stream", s1.hex, "flat", 14, 0, 0, false, NULL, NULL},
        {"cpu-self", both.hex, "own store=plain", s1.hex, "flat", 20, 0, 0, false, NULL, NULL},
        {"cpu-twin", both.hex, "twin in place", s1.hex, "flat", 14, 0, 0, true, NULL, NULL},
        {"cpu-stranger", foreign.hex, "stranger 20", s1.hex, "flat", 20, 0, 0, false, NULL, NULL},
    };
    for (size_t i = 0; i < sizeof winners / sizeof *winners; i++)
        put_winner(store, &winners[i]);
    at_store_close(store);

    at_dispatch *dispatch;
    at_dispatched c[AT_CANDIDATES_MAX];
    OK(at_dispatch_load(database, &device, &dispatch));
    at_table_key key = {.kernel = k, .size_bucket = 14};
    int count = at_dispatch_find(dispatch, &key, c);
    static const char *const want[][2] = {{"own 14", "exact"},
                                          {"own 10 warm", "nearest size"},
                                          {"own 24 cold", "nearest size"},
                                          {"twin 14", "same model"}};
    cr_assert_eq(count, 4, "%d: the cousin's equals our own", count);
    for (int i = 0; i < count; i++)
        cr_assert(!strcmp(c[i].variant, want[i][0]) && !strcmp(c[i].tier, want[i][1]), "%d: %s, %s", i, c[i].variant,
                  c[i].tier);
    cr_assert_str_eq(c[0].source_hash.hex, s1.hex);
    key = (at_table_key){.kernel = k, .layout = AT_LAYOUT_CHANNEL_INNER, .size_bucket = 20, .channel_bucket = 11};
    cr_assert_eq(at_dispatch_find(dispatch, &key, c), 1);
    cr_assert_str_eq(c[0].tier, "other layout");
    key = (at_table_key){.kernel = lonely, .size_bucket = 20};
    cr_assert_eq(at_dispatch_find(dispatch, &key, c), 1);
    cr_assert_str_eq(c[0].tier, "same capability");
    key.kernel = foreign;
    cr_assert_eq(at_dispatch_find(dispatch, &key, c), 0, "another ISA level is never used");
    key = (at_table_key){.kernel = k, .size_bucket = 14, .in_place = true};
    count = at_dispatch_find(dispatch, &key, c);
    cr_assert(count == 4 && !strcmp(c[0].variant, "own 14") && !strcmp(c[0].tier, "out of place"));
    key.kernel = both;
    count = at_dispatch_find(dispatch, &key, c);
    cr_assert_eq(count, 2, "%d: streaming stores are not borrowed", count);
    cr_assert(!strcmp(c[0].variant, "twin in place") && !strcmp(c[0].tier, "same model"), "in place comes first");
    cr_assert(!strcmp(c[1].variant, "own store=plain") && !strcmp(c[1].tier, "out of place"));
    key.in_place = false;
    cr_assert_eq(at_dispatch_find(dispatch, &key, c), 2, "nothing is borrowed the other way");
    cr_assert_str_eq(c[0].variant, "own store=stream");
    key = (at_table_key){.kernel = theirs, .size_bucket = 13};
    static const char *const beside[][2] = {{"cudnn 12", "nearest size"}, {"ours 12", "nearest size"}, {"cudnn 18", "nearest size"},
                                            {"own 20", "nearest size"},   {"cudnn 12", "same model"},  {"twin's 12", "same model"}};
    cr_assert_eq(at_dispatch_find(dispatch, &key, c), 6);
    for (int i = 0; i < 6; i++)
        cr_assert(!strcmp(c[i].variant, beside[i][0]) && !strcmp(c[i].tier, beside[i][1]), "%d: %s, %s", i, c[i].variant, c[i].tier);
    key.size_bucket = 20;
    cr_assert_eq(at_dispatch_find(dispatch, &key, c), 5);
    cr_assert(!strcmp(c[0].variant, "own 20") && !strcmp(c[1].variant, "cudnn 18"), "ours is not behind what is ours: %s", c[1].variant);
    at_dispatch_free(dispatch);

    OK(at_dispatch_load("", &device, &dispatch));
    cr_assert_eq(at_dispatch_find(dispatch, &key, c), 0);
    at_dispatch_free(dispatch);
    at_dispatch_free(NULL);
    OK(at_dispatch_load("/nonexistent/actune.db", &device, &dispatch));
    at_dispatch_free(dispatch);
}

Test(dispatch, a_file_that_is_no_database_is_an_error)
{
    FILE *file = fopen(database, "w");
    for (int i = 0; i < 1000; i++)
        fputs("this is no database\n", file);
    fclose(file);
    actune_context *context;
    actune_context_options options = {.cache_folder = folder};
    cr_assert_eq(actune_context_open(&options, &context), ACTUNE_DATABASE);
    cr_assert_null(context);
}

/* Stores `count` winners for the plan's own kernel on this device and tells what the plan made of them. */
static void plan_with(const winner *winners, int count, actune_plan **plan, actune_context **context)
{
    at_device device;
    OK(at_device_get("cpu", &device));
    at_store *store;
    OK(at_store_open(database, AT_STORE_WRITE, &store));
    put_device(store, device.id, device.model, device.capability);
    at_spec spec;
    at_kernel kernel;
    at_kernel_request request = {.direction = ACTUNE_FORWARD};
    OK(at_spec_parse("clip(-1, 1)", &spec));
    OK(at_kernel_lower(&spec, &request, &kernel));
    for (int i = 0; i < count; i++) {
        winner w = winners[i];
        w.device = device.id;
        w.kernel = kernel.hash.hex;
        put_winner(store, &w);
    }
    at_kernel_clear(&kernel);
    at_spec_clear(&spec);
    at_store_close(store);
    actune_context_options options = {.cache_folder = folder};
    OK(actune_context_open(&options, context));
    actune_plan_desc desc = {.spec = "clip(-1, 1)", .shape = {1, 1, 1 << 14}};
    OK(actune_plan_create(*context, &desc, plan));
}

/* The default variant's text (to be freed) and the hash of the source that it gives now. */
static char *default_variant(at_hash *source_hash)
{
    at_device device;
    at_spec spec;
    at_kernel kernel;
    at_variant variant;
    at_strbuf source = {0}, text = {0};
    at_kernel_request request = {.direction = ACTUNE_FORWARD};
    OK(at_device_get("cpu", &device));
    OK(at_spec_parse("clip(-1, 1)", &spec));
    OK(at_kernel_lower(&spec, &request, &kernel));
    at_target target = {.isa = device.isa};
    OK(at_variant_default(&kernel, AT_LAYOUT_FLAT, &target, &variant));
    at_generate_item item = {.kernel = &kernel, .layout = AT_LAYOUT_FLAT, .variant = &variant};
    OK(at_generate_batch(&item, 1, &target, &source));
    OK(item.status);
    *source_hash = item.source_hash;
    at_variant_print(&variant, &text);
    at_strbuf_clear(&source);
    at_kernel_clear(&kernel);
    at_spec_clear(&spec);
    return at_strbuf_take(&text);
}

static void check_tier(const winner *winners, int count, const char *tier, const char *noted)
{
    actune_context *context;
    actune_plan *plan;
    actune_plan_info info;
    plan_with(winners, count, &plan, &context);
    actune_plan_describe(plan, &info);
    cr_assert_str_eq(info.tier, tier, "%s (%s)", info.tier, info.note);
    cr_assert(noted[0] ? strstr(info.note, noted) != NULL : info.note[0] == '\0', "%s", info.note);
    static float x[1 << 14], y[1 << 14];
    for (int i = 0; i < 1 << 14; i++)
        x[i] = (float)i / 4096 - 2;
    actune_buffer buffers[] = {{x, 1 << 14, ACTUNE_F32}, {y, 1 << 14, ACTUNE_F32}};
    OK(actune_execute(plan, buffers, 2));
    for (int i = 0; i < 1 << 14; i++)
        cr_assert_eq(y[i], x[i] < -1 ? -1 : x[i] > 1 ? 1 : x[i]);
    actune_plan_destroy(plan);
    actune_context_close(context);
    cr_assert_eq(unlink(database), 0);
}

/* A winner that cannot be used makes way for the next tier, and the note says so. */
Test(dispatch, plans_fall_through_the_tiers)
{
    at_hash good, stale = hash("other source text");
    char *text = default_variant(&good);
    winner exact = {NULL, NULL, text, good.hex, "flat", 14, 0, 0, false, NULL, NULL};
    winner near = exact, far = exact, bad_text = exact, stale_exact = exact;
    near.size = 17;
    far.size = 30;
    bad_text.variant = "cpu/nonsuch width=64";
    stale_exact.source_hash = stale.hex;
    check_tier(NULL, 0, "default", "");
    check_tier(&exact, 1, "exact", "");
    check_tier(&near, 1, "nearest size", "");
    check_tier(&bad_text, 1, "default", "a stored winner was not used");
    check_tier(&stale_exact, 1, "default", "tune again");
    check_tier((winner[]){bad_text, near, far}, 3, "nearest size", "a stored winner was not used");
    free(text);
}

/* What a tuner stores for a shape is what dispatch finds for it, exactly: one key for both. */
Test(dispatch, stored_by_the_key_that_finds)
{
    static const actune_shape shapes[] = {{1, 1, 1000}, {7, 100, 1}, {3, 6, 1111}, {1, 1, 1}, {2, 1536, 196}, {33, 4097, 1}};
    static const char *const layouts[] = {"flat", "channel_inner", "channel_outer"};
    at_store *store;
    at_device device;
    OK(at_device_get("cpu", &device));
    OK(at_store_open(database, AT_STORE_WRITE, &store));
    put_device(store, device.id, device.model, device.capability);
    for (int i = 0; i < 36; i++) {
        at_hash kernel = hash(layouts[i % 3]), source = hash("source");
        char variant[64];
        snprintf(variant, sizeof variant, "cpu/elementwise case=%d", i);
        at_table_key key = at_table_key_of(&kernel, (at_layout)(i % 3), shapes[i / 6], i / 3 % 2);
        at_store_workload w = at_store_workload_of(&key, "warm");
        cr_assert_str_eq(w.layout, layouts[i % 3]);
        put_winner(store, &(winner){device.id, kernel.hex, variant, source.hex, w.layout, w.size_bucket, w.channel_bucket,
                                    w.inner_bucket, w.in_place, w.regime, NULL});
    }
    at_store_close(store);
    at_dispatch *dispatch;
    OK(at_dispatch_load(database, &device, &dispatch));
    for (int i = 0; i < 36; i++) {
        at_hash kernel = hash(layouts[i % 3]);
        at_dispatched found[AT_CANDIDATES_MAX];
        char variant[64];
        at_table_key key = at_table_key_of(&kernel, (at_layout)(i % 3), shapes[i / 6], i / 3 % 2);
        cr_assert_gt(at_dispatch_find(dispatch, &key, found), 0);
        snprintf(variant, sizeof variant, "cpu/elementwise case=%d", i);
        cr_expect_str_eq(found[0].variant, variant);
        cr_expect_str_eq(found[0].tier, "exact");
    }
    at_dispatch_free(dispatch);
}
