/* A block that mixes ReLU and GELU: a plan for each of its layers, which follow one another, and a batch for its experts, which do not. The experts'
   numbers of tokens change from step to step; nothing is made anew for that. */
#include <actune/actune.h>
#include <stdio.h>
#include <stdlib.h>

enum { TOKENS = 256, FEATURES = 64, EXPERTS = 4, COUNT = TOKENS * FEATURES };

/* Layers in order. Each is tuned for itself: "actune tune SPEC", or all of a file with "actune tune --workload FILE.jsonl". */
static const actune_plan_desc layers[] = {
    {.spec = "bias | gelu_tanh", .shape = {TOKENS, FEATURES, 1}},
    {.spec = "add | relu", .shape = {TOKENS, FEATURES, 1}, .in_place = true},
};
enum { LAYERS = sizeof layers / sizeof *layers };

/* Experts of one step, side by side; TOKENS is the most that any of them can get. Tokens are sorted by expert, so all have the same tensors. */
static const actune_plan_desc experts[EXPERTS] = {
    {.spec = "relu", .shape = {TOKENS, 1, FEATURES}},
    {.spec = "gelu_tanh | clip(-6, 6)", .shape = {TOKENS, 1, FEATURES}},
    {.spec = "relu", .shape = {TOKENS, 1, FEATURES}},
    {.spec = "swish(beta=learn)", .shape = {TOKENS, 1, FEATURES}},
};

static float x[COUNT], bias[FEATURES], h[COUNT], residual[COUNT], y[COUNT], beta = 1.5f;

static int must(actune_status status)
{
    if (status != ACTUNE_OK)
        fprintf(stderr, "%s\n", actune_last_error());
    return status == ACTUNE_OK;
}

/* h = relu(gelu(x + bias) + residual), layer by layer. */
static int run_layers(actune_plan *const *plan)
{
    const actune_buffer first[] = {{x, COUNT, ACTUNE_F32}, {bias, FEATURES, ACTUNE_F32}, {h, COUNT, ACTUNE_F32}};
    const actune_buffer second[] = {{h, COUNT, ACTUNE_F32}, {residual, COUNT, ACTUNE_F32}, {h, COUNT, ACTUNE_F32}};
    return must(actune_execute(plan[0], first, 3)) && must(actune_execute(plan[1], second, 3));
}

/* y = each token's expert of h: expert i has the tokens from offsets[i] up to offsets[i + 1]. */
static int run_experts(const actune_batch *batch, const int64_t *offsets)
{
    actune_buffer buffers[16];
    actune_batch_info info;
    actune_batch_describe(batch, &info);
    for (int i = 0; i < info.buffers; i++) {
        actune_port_info port;
        actune_batch_port(batch, i, NULL, &port);
        buffers[i] = port.is_output       ? (actune_buffer){y, COUNT, ACTUNE_F32}
                     : port.name[0] == 'x' ? (actune_buffer){h, COUNT, ACTUNE_F32}
                                           : (actune_buffer){&beta, 1, ACTUNE_F32};
    }
    return must(actune_batch_execute(batch, buffers, info.buffers, &(actune_batch_options){.offsets = offsets}));
}

int main(void)
{
    static const int64_t steps[][EXPERTS + 1] = {{0, 64, 128, 192, 256}, {0, 10, 210, 210, 256}};
    actune_context *context;
    actune_plan *plan[LAYERS] = {NULL};
    actune_batch *batch = NULL;
    int done = must(actune_context_open(NULL, &context));
    if (!done)
        return 1;
    for (int i = 0; i < COUNT; i++)
        x[i] = (float)(i % 13) - 6, residual[i] = (float)(i % 5) - 2;
    for (int i = 0; i < LAYERS && done; i++)
        done = must(actune_plan_create(context, &layers[i], &plan[i]));
    done = done && must(actune_batch_create(context, experts, EXPERTS, &batch));
    for (int step = 0; step < 2 && done; step++) {
        done = run_layers(plan) && run_experts(batch, steps[step]);
        printf("step %d: token 150 went from %g to %g\n", step, (double)h[150 * FEATURES], (double)y[150 * FEATURES]);
    }
    for (int i = 0; i < LAYERS && done; i++) {
        actune_plan_info info;
        actune_plan_describe(plan[i], &info);
        printf("%s: %s (%s)\n", info.spec, info.variant, info.tier);
    }
    actune_batch_destroy(batch);
    for (int i = 0; i < LAYERS; i++)
        actune_plan_destroy(plan[i]);
    actune_context_close(context);
    return !done;
}
