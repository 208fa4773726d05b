/* What training shows: a layer of 64 ReLUs learns with a rate that is far too high, and units die. The kernel `bias | relu | stats(channel)` counts while it
   computes; the statistics go to TensorBoard (tensorboard --logdir runs) and to `actune doctor --stats`, which says what to change.

       cc training.c $(pkg-config --cflags --libs actune actune_monitor) -lm -o training && ./training runs && actune doctor --stats runs/actune*.jsonl */
#include <actune/actune.h>
#include <actune/monitor.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum { ROWS = 256, UNITS = 64, STEPS = 60, WINDOW = 20 };
static float x[ROWS * UNITS], y[ROWS * UNITS], dy[ROWS * UNITS], dx[ROWS * UNITS], bias[UNITS], dbias[UNITS], weight[UNITS];
static double records[UNITS * ACTUNE_STATISTICS_FIELDS];
static actune_statistics unit[UNITS];

static void must(actune_status status, const char *message)
{
    if (status == ACTUNE_OK)
        return;
    fprintf(stderr, "training: %s\n", message);
    exit(1);
}
#define ACTUNE(call) must(call, actune_last_error())
#define MONITOR(call) must(call, actune_monitor_last_error())

/* A number in [-1, 1) that looks random and is the same everywhere. */
static float draw(uint64_t i)
{
    uint64_t z = i * 0x9e3779b97f4a7c15u + 1;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return (float)(z >> 40) * 0x1p-23f - 1;
}

/* The network is sum over units of weight * relu(x + bias), its target |first input|; x is new in each step. Gives the loss and fills dy. */
static double compare(float *dweight)
{
    double loss = 0;
    for (int u = 0; u < UNITS; u++)
        dweight[u] = 0;
    for (int r = 0; r < ROWS; r++) {
        float output = 0;
        for (int u = 0; u < UNITS; u++)
            output += weight[u] * y[r * UNITS + u];
        float off = output - fabsf(x[r * UNITS]);
        loss += (double)off * (double)off / ROWS;
        for (int u = 0; u < UNITS; u++) {
            dy[r * UNITS + u] = 2 * off * weight[u] / ROWS;
            dweight[u] += 2 * off * y[r * UNITS + u] / ROWS;
        }
    }
    return loss;
}

int main(int argc, char **argv)
{
    static const char *const gradients[] = {"bias"};
    actune_context *context;
    actune_plan *forward, *backward;
    actune_window *window;
    actune_monitor *monitor;
    ACTUNE(actune_context_open(NULL, &context));
    actune_plan_desc desc = {.spec = "bias | relu | stats(channel)", .shape = {ROWS, UNITS, 1}};
    ACTUNE(actune_plan_create(context, &desc, &forward));
    desc = (actune_plan_desc){
        .spec = "bias | relu", .direction = ACTUNE_BACKWARD, .shape = {ROWS, UNITS, 1}, .gradients = gradients, .gradient_count = 1};
    ACTUNE(actune_plan_create(context, &desc, &backward));
    ACTUNE(actune_window_create(UNITS, WINDOW, &window));
    MONITOR(actune_monitor_open(argc > 1 ? argv[1] : "runs", &(actune_monitor_options){.json_lines = true}, &monitor));
    MONITOR(actune_monitor_describe(monitor, "hidden/relu", &(actune_monitor_layer){.spec = "bias | relu", .device = "cpu", .training = true}));
    for (int u = 0; u < UNITS; u++)
        weight[u] = draw((uint64_t)u) / 4;

    for (int step = 0; step < STEPS; step++) {
        float dweight[UNITS], rate = 12;
        for (int i = 0; i < ROWS * UNITS; i++)
            x[i] = draw((uint64_t)(1000 + step * ROWS * UNITS + i));
        ACTUNE(actune_execute(forward, (actune_buffer[]){{x, ROWS * UNITS, ACTUNE_F32}, {bias, UNITS, ACTUNE_F32}, {y, ROWS * UNITS, ACTUNE_F32},
                                                         {records, UNITS * ACTUNE_STATISTICS_FIELDS, ACTUNE_F64}}, 4));
        double loss = compare(dweight);
        ACTUNE(actune_execute(backward, (actune_buffer[]){{x, ROWS * UNITS, ACTUNE_F32}, {dy, ROWS * UNITS, ACTUNE_F32}, {bias, UNITS, ACTUNE_F32},
                                                          {dx, ROWS * UNITS, ACTUNE_F32}, {dbias, UNITS, ACTUNE_F32}}, 5));
        for (int u = 0; u < UNITS; u++) {
            bias[u] -= rate * dbias[u];
            weight[u] -= 0.02f * dweight[u];
        }
        actune_statistics statistics;
        ACTUNE(actune_statistics_from_records(records, UNITS, unit, &statistics));
        ACTUNE(actune_window_add(window, &statistics));
        MONITOR(actune_monitor_scalar(monitor, "loss", step, loss));
        MONITOR(actune_monitor_statistics(monitor, "hidden/relu", step, &statistics));
        if (step % 20 == 0 || step == STEPS - 1)
            printf("step %2d: loss %.3g, %.0f %% of the activations are 0, %lld of %d units dead\n", step, loss,
                   100.0 * (double)statistics.zero / (double)statistics.count, (long long)statistics.dead_channels, UNITS);
    }
    printf("%s\n", actune_monitor_path(monitor));
    MONITOR(actune_monitor_close(monitor));
    actune_window_destroy(window);
    actune_plan_destroy(forward);
    actune_plan_destroy(backward);
    actune_context_close(context);
    return 0;
}
