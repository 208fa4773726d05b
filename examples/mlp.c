/* Inference of a small network on the CPU: 784 -> 512 -> 512 -> 10. Bias and activation of a layer are one kernel, in place in the
   output of its matrix product; the last layer has its bias alone. Plans are made once, then every batch is a call.

       cc mlp.c $(pkg-config --cflags --libs actune) -pthread -o mlp && ./mlp */
#include <actune/actune.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { BATCH = 32, LAYERS = 3, BATCHES = 20 };
static const int64_t width[LAYERS + 1] = {784, 512, 512, 10};
static const char *const epilogue[LAYERS] = {"bias | gelu_tanh", "bias | gelu_tanh | clip(-6, 6)", "bias"};

typedef struct layer {
    float *weight; /* [in, out], so that the inner loop runs along the outputs */
    float *bias, *output;
    actune_plan *plan;
} layer;

static void must(actune_status status)
{
    if (status == ACTUNE_OK)
        return;
    fprintf(stderr, "mlp: %s\n", actune_last_error());
    exit(1);
}

static void *allocate(int64_t count)
{
    void *memory = aligned_alloc(64, ((size_t)count * sizeof(float) + 63) / 64 * 64);
    if (memory == NULL)
        exit(fprintf(stderr, "mlp: no memory\n"));
    return memory;
}

static void open_layer(actune_context *context, int index, layer *l)
{
    int64_t in = width[index], out = width[index + 1];
    l->weight = allocate(in * out);
    l->bias = allocate(out);
    l->output = allocate(BATCH * out);
    /* The weight of torch is [out, in]; the numbers are independent, so only the fan matters: that of the inputs. */
    actune_init_desc init = {.kind = ACTUNE_KAIMING_NORMAL, .shape = (int64_t[]){out, in}, .rank = 2, .nonlinearity = "relu", .seed = 1,
                             .offset = (uint64_t)index};
    actune_buffer weight = {l->weight, in * out, ACTUNE_F32};
    must(actune_init(context, &init, &weight, NULL));
    for (int64_t i = 0; i < out; i++)
        l->bias[i] = 0.01f * (float)(i % 7);
    actune_plan_desc desc = {.spec = epilogue[index], .shape = {BATCH, out, 1}, .in_place = true};
    must(actune_plan_create(context, &desc, &l->plan));
}

static void multiply(const float *x, const layer *l, int64_t in, int64_t out)
{
    for (int64_t row = 0; row < BATCH; row++) {
        float *y = l->output + row * out;
        for (int64_t j = 0; j < out; j++)
            y[j] = 0;
        for (int64_t k = 0; k < in; k++)
            for (int64_t j = 0; j < out; j++)
                y[j] += x[row * in + k] * l->weight[k * out + j];
    }
}

static const float *run(const layer *layers, const float *x)
{
    for (int i = 0; i < LAYERS; i++) {
        const layer *l = &layers[i];
        int64_t out = width[i + 1];
        multiply(x, l, width[i], out);
        actune_buffer buffers[] = {{l->output, BATCH * out, ACTUNE_F32}, {l->bias, out, ACTUNE_F32}, {l->output, BATCH * out, ACTUNE_F32}};
        must(actune_execute(l->plan, buffers, 3));
        x = l->output;
    }
    return x;
}

int main(void)
{
    actune_context *context;
    layer layers[LAYERS];
    must(actune_context_open(NULL, &context));
    for (int i = 0; i < LAYERS; i++)
        open_layer(context, i, &layers[i]);
    float *x = allocate(BATCH * width[0]);
    for (int64_t i = 0; i < BATCH * width[0]; i++)
        x[i] = (float)(i * 37 % 255) / 255;

    struct timespec start, end;
    double sum = 0;
    clock_gettime(CLOCK_MONOTONIC, &start);
    for (int batch = 0; batch < BATCHES; batch++) {
        const float *y = run(layers, x);
        for (int i = 0; i < BATCH * 10; i++)
            sum += (double)y[i];
    }
    clock_gettime(CLOCK_MONOTONIC, &end);
    double ms = 1e3 * (double)(end.tv_sec - start.tv_sec) + 1e-6 * (double)(end.tv_nsec - start.tv_nsec);

    for (int i = 0; i < LAYERS; i++) {
        actune_plan_info info;
        actune_plan_describe(layers[i].plan, &info);
        printf("layer %d: %-32s %s (%s)\n", i, info.spec, info.variant, info.tier);
        actune_plan_destroy(layers[i].plan);
        free(layers[i].weight);
        free(layers[i].bias);
        free(layers[i].output);
    }
    printf("%d batches of %d: %.2f ms each, mean of the outputs %.6f\n", BATCHES, BATCH, ms / BATCHES, sum / (BATCHES * BATCH * 10));
    actune_context_close(context);
    free(x);
    return 0;
}
