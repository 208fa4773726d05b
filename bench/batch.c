/* 64 experts with mixed activations, 16K elements each: as one batch, beside 64 executions one after the other of the same plans on the same buffers, with
   one thread and with two. Rounds are interleaved; medians of one run are printed, and the speed of each arm beside "one by one", paired by rounds.
     bench_batch [ROUNDS] [EXPERTS] [ELEMENTS] */
#include "runtime/device.h"
#include "tuner/compare_batch.h"

#include <stdio.h>
#include <stdlib.h>

enum { EXPERTS_MAX = 4096 };

static const char *const mixed[] = {"relu", "gelu_tanh", "silu", "bias | gelu"};

static void describe(actune_plan_desc *members, int count, int64_t elements, actune_dtype dtype, actune_direction direction)
{
    for (int m = 0; m < count; m++)
        members[m] = (actune_plan_desc){.spec = mixed[m % 4], .direction = direction, .dtype_in = dtype, .dtype_out = dtype,
                                        .shape = {elements / 64, 64, 1}};
}

static int race(const char *what, const actune_plan_desc *members, int count, int threads, int rounds)
{
    const actune_context_options options = {.max_threads = threads};
    actune_context *context;
    at_batch_comparison result;
    actune_status status = actune_context_open(&options, &context);
    if (status == ACTUNE_OK) {
        const at_batch_compare_request request = {.context = context, .members = members, .count = count, .rounds = rounds, .seed = 1};
        status = at_compare_batch(&request, &result);
        actune_context_close(context);
    }
    if (status != ACTUNE_OK)
        return fprintf(stderr, "%s\n", actune_last_error()), 1;
    printf("%s, %d thread%s (%s, %d set%s of buffers)\n", what, threads, threads > 1 ? "s" : "", result.cold ? "cold" : "warm", result.sets,
           result.sets > 1 ? "s" : "");
    for (int i = 0; i < AT_BATCH_ARMS; i++)
        printf("  %-11s %9.2f us +- %4.1f %%  %6.1f GB/s  %.2fx one by one [%.2f, %.2f]\n", result.line[i].name, result.line[i].median_ns / 1e3,
               50 * (result.line[i].high_ns - result.line[i].low_ns) / result.line[i].median_ns, result.line[i].gbps, result.line[i].speed.median,
               result.line[i].speed.low, result.line[i].speed.high);
    return 0;
}

int main(int argc, char **argv)
{
    static actune_plan_desc members[EXPERTS_MAX];
    static const struct {
        const char *name;
        actune_dtype dtype;
        actune_direction direction;
    } cases[] = {{"forward f32", ACTUNE_F32, ACTUNE_FORWARD}, {"backward f32", ACTUNE_F32, ACTUNE_BACKWARD}, {"forward bf16", ACTUNE_BF16, ACTUNE_FORWARD}};
    const int rounds = argc > 1 ? atoi(argv[1]) : 51, count = argc > 2 ? atoi(argv[2]) : 64;
    const int64_t elements = argc > 3 ? atoll(argv[3]) : 16384;
    at_device device;
    if (rounds < 1 || rounds > AT_SAMPLES_MAX || count < 1 || count > EXPERTS_MAX || elements < 64)
        return fprintf(stderr, "usage: %s [ROUNDS] [EXPERTS] [ELEMENTS]\n", argv[0]), 2;
    if (at_device_get(NULL, &device) == ACTUNE_OK)
        printf("%s, %s, %d processors\n", device.model, device.capability, device.processors);
    printf("%d experts of %lld elements: relu, gelu_tanh, silu, bias | gelu by turns; %d rounds\n", count, (long long)elements, rounds);
    int failed = 0;
    for (size_t c = 0; c < sizeof cases / sizeof *cases; c++)
        for (int threads = 1; threads <= 2 && threads <= device.processors; threads++) {
            describe(members, count, elements, cases[c].dtype, cases[c].direction);
            failed |= race(cases[c].name, members, count, threads, rounds);
        }
    return failed;
}
