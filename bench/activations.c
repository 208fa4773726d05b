/* Activations, one thread, f32 forward, beside oneDNN: what `actune bench` measures (tuner/compare.h) and a peer in the same rounds.

   bench_activations [SPEC...] [--sizes 16384,262144,4194304] [--rounds 15] [--class standard|fast|exact]

   GB/s counts 8 bytes an element. Run `actune tune` for the specs first, or "tuned" is the default kernel. */
#include "arms.h"
#include "tuner/compare.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SIZES_MAX = 8, SPECS_MAX = 64 };

typedef struct options {
    const char *spec[SPECS_MAX], *class;
    int64_t size[SIZES_MAX];
    int specs, sizes, rounds;
} options;

static bool read_options(int argc, char **argv, options *o)
{
    for (int i = 1; i < argc; i++) {
        if (!strcmp(argv[i], "--sizes") && i + 1 < argc) {
            o->sizes = 0;
            for (char *part = strtok(argv[++i], ","); part && o->sizes < SIZES_MAX; part = strtok(NULL, ","))
                o->size[o->sizes++] = strtoll(part, NULL, 10);
        } else if (!strcmp(argv[i], "--rounds") && i + 1 < argc)
            o->rounds = atoi(argv[++i]);
        else if (!strcmp(argv[i], "--class") && i + 1 < argc)
            o->class = argv[++i];
        else if (argv[i][0] == '-' || o->specs == SPECS_MAX)
            return false;
        else
            o->spec[o->specs++] = argv[i];
    }
    return true;
}

static void print(const char *op, int64_t n, const at_comparison *c)
{
    for (int i = 0; i < c->lines; i++)
        printf("%-12s %9lld  %-10s %8.1f GB/s  %7.4f ns/element  %5.2f x memcpy\n", op, (long long)n, c->line[i].name, c->line[i].gbps,
               c->line[i].median_ns / (double)n, c->line[i].speed.median);
    fflush(stdout);
}

static actune_status compare(const at_comparer *comparer, const options *o, const char *op, int64_t n)
{
    static const char *const names[] = {"oneDNN"};
    char text[256];
    at_spec spec;
    at_kernel kernel;
    at_comparison result;
    at_arm peer;
    at_kernel_request forward = {.direction = ACTUNE_FORWARD};
    snprintf(text, sizeof text, "[accuracy=%s] %s", o->class, op);
    AT_TRY(at_spec_parse(text, &spec));
    actune_status status = at_kernel_lower(&spec, &forward, &kernel);
    at_spec_clear(&spec);
    AT_TRY(status);
    bool has_peer = bench_onednn(op, n, &peer);
    at_compare_request request = {
        .kernel = &kernel, .shape = {1, 1, n}, .rounds = o->rounds, .seed = n, .extra = &peer, .extra_name = names, .extras = has_peer};
    status = at_compare(comparer, &request, &result);
    if (has_peer)
        bench_onednn_close(peer.self);
    at_kernel_clear(&kernel);
    if (status == ACTUNE_OK)
        print(op, n, &result);
    return status;
}

static actune_status run(const options *o)
{
    at_device device;
    at_cache *cache;
    at_comparer comparer = {0};
    AT_TRY(at_device_get("cpu", &device));
    AT_TRY(at_cache_open(NULL, &cache));
    actune_status status = at_comparer_open(cache, &device, NULL, 1, &comparer);
    for (int s = 0; s < o->sizes; s++)
        for (int k = 0; k < o->specs && !status; k++)
            status = compare(&comparer, o, o->spec[k], o->size[s]);
    at_comparer_close(&comparer);
    at_cache_close(cache);
    return status;
}

int main(int argc, char **argv)
{
    static const char *const all[] = {"relu", "leaky_relu", "clip(-6, 6)", "hardswish", "sigmoid", "silu",
                                      "tanh", "elu",        "gelu",        "gelu_tanh", "mish"};
    options o = {.class = "standard", .size = {16384, 262144, 4194304}, .sizes = 3, .rounds = 15};
    if (!read_options(argc, argv, &o)) {
        fprintf(stderr, "usage: bench_activations [SPEC...] [--sizes N,N] [--rounds N] [--class NAME]\n");
        return 2;
    }
    for (size_t i = 0; o.specs == 0 || (o.spec[0] == all[0] && i < sizeof all / sizeof *all); i++)
        o.spec[o.specs++] = all[i];
    if (run(&o) == ACTUNE_OK)
        return 0;
    fprintf(stderr, "%s\n", actune_last_error());
    return 1;
}
