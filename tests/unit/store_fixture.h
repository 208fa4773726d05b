/* Shared by the tests of the database. */
#ifndef AT_TESTS_STORE_FIXTURE_H
#define AT_TESTS_STORE_FIXTURE_H

#include "db/store.h"
#include "isolated.h"
#include <sys/stat.h>

static inline void setup(void)
{
    make_root();
    setenv("XDG_DATA_HOME", root, 1);
    setenv("XDG_RUNTIME_DIR", root, 1);
    unsetenv("ACTUNE_DB");
}

static inline at_store *open_store(const char *path, at_store_mode mode)
{
    at_store *store;
    CHECK(at_store_open(path, mode, &store) == ACTUNE_OK && store, "%s", path ? path : "default");
    return store;
}

static const at_store_device device = {"cpu-1", "cpu", "Model 1", "x86-64-v4", 8, 32768, 1 << 20, 1LL << 33};
static const at_store_kernel kernel = {"k1", "gelu_tanh | clip(-6, 6)", "forward", "f32", "bf16", "standard"};
static const at_store_workload flat20 = {"flat", 20, 0, 0, false, "warm"};

/* Device, two kernels, a session, and two variants; ids come back. */
static inline void fill(at_store *store, int64_t *session, int64_t variant[2])
{
    static const at_store_kernel other = {"k2", "relu", "backward", "f16", "f16", "exact"};
    at_store_session s = {"cpu-1", "{\"cc\":\"clang\"}", "{\"rounds\":9}", -5};
    at_store_variant v[2] = {{"k1", "s1", "cpu/elementwise width=64"}, {"k2", "s2", "cpu/elementwise width=32"}};
    CHECK(at_store_put_device(store, &device) == ACTUNE_OK);
    CHECK(at_store_put_kernel(store, &kernel) == ACTUNE_OK && at_store_put_kernel(store, &other) == ACTUNE_OK);
    CHECK(at_store_put_session(store, &s, session) == ACTUNE_OK && *session > 0);
    for (int i = 0; i < 2; i++)
        CHECK(at_store_put_variant(store, &v[i], &variant[i]) == ACTUNE_OK && variant[i] > 0);
}

static inline at_store_choice choice_of(const char *hash, at_store_workload workload, int64_t variant, int64_t session)
{
    return (at_store_choice){.device = "cpu-1", .kernel = hash, .workload = workload, .variant = variant, .session = session,
                             .median_ns = 100.25, .ratio_to_copy = 1.5, .gain_over_default = 1.25, .pct_roof = 66.5, .margin = 0.05,
                             .tie_set = "a\nb", .origin = "measured"};
}

typedef struct seen {
    int count;
    at_store_choice choice;
    char variant_text[64], source_hash[64], ours[128]; /* ours: text/hash */
} seen;

static inline actune_status see_choice(void *user, const at_store_choice *choice)
{
    seen *s = user;
    s->count++;
    s->choice = *choice;
    snprintf(s->variant_text, sizeof s->variant_text, "%s", choice->variant_text);
    snprintf(s->source_hash, sizeof s->source_hash, "%s", choice->source_hash);
    snprintf(s->ours, sizeof s->ours, "%s/%s", choice->ours_text, choice->ours_hash);
    CHECK(strlen(choice->device) == 5 && strlen(choice->kernel) == 2 && choice->tie_set && choice->origin);
    return ACTUNE_OK;
}

static inline int count_choices(at_store *store, const char *of_device, const char *of_kernel)
{
    seen s = {0};
    CHECK(at_store_each_choice(store, of_device, of_kernel, see_choice, &s) == ACTUNE_OK);
    return s.count;
}

static inline actune_status count_row(void *user, const at_store_kernel *k)
{
    CHECK(*k->hash == 'k' && *k->spec && *k->direction && *k->dtype_in && *k->dtype_out && *k->accuracy);
    ++*(int *)user;
    return ACTUNE_OK;
}

static const double samples[] = {1.5, 2.25, 1e-300, 1e300, 0.1};

static inline void make_ours(const char *path)
{
    int64_t session, variant[2];
    at_store *store = open_store(path, AT_STORE_WRITE);
    fill(store, &session, variant);
    for (int i = 0; i < 60; i++) {
        at_store_choice c = choice_of("k1", flat20, variant[0], session);
        at_store_measurement m = {variant[0], session, flat20, 2, 1, 3, 0.5, samples, 5};
        c.workload.size_bucket = m.workload.size_bucket = i;
        CHECK(at_store_put_choice(store, &c) == ACTUNE_OK && at_store_put_measurement(store, &m) == ACTUNE_OK);
    }
    at_store_close(store);
}

#endif
