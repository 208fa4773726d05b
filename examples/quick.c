/* A tuned activation in 30 lines: one plan, executed by several threads on their own buffers. */
#include <actune/actune.h>
#include <pthread.h>
#include <stdio.h>

enum { THREADS = 4, N = 100000 };
static float x[THREADS][N], y[THREADS][N];
static actune_plan *plan;

static void *work(void *index)
{
    int t = *(int *)index;
    actune_buffer buffers[] = {{x[t], N, ACTUNE_F32}, {y[t], N, ACTUNE_F32}};
    return actune_execute(plan, buffers, 2) == ACTUNE_OK ? NULL : (void *)actune_last_error();
}

int main(void)
{
    actune_context *context;
    actune_plan_desc desc = {.spec = "gelu_tanh | clip(-6, 6)", .shape = {1, 1, N}};
    if (actune_context_open(NULL, &context) != ACTUNE_OK || actune_plan_create(context, &desc, &plan) != ACTUNE_OK)
        return fprintf(stderr, "%s\n", actune_last_error()), 1;

    pthread_t thread[THREADS];
    int index[THREADS], failed = 0;
    for (int t = 0; t < THREADS; t++) {
        for (int i = 0; i < N; i++)
            x[t][i] = (float)(i - N / 2) / 5000;
        index[t] = t;
        failed |= pthread_create(&thread[t], NULL, work, &index[t]);
    }
    for (int t = 0; t < THREADS; t++) {
        void *error = NULL;
        failed |= pthread_join(thread[t], &error) || error != NULL;
    }
    actune_plan_info info;
    actune_plan_describe(plan, &info);
    printf("%s(%g) = %g  [%s: %s]\n", info.spec, x[0][N - 1], y[0][N - 1], info.tier, info.variant);
    actune_plan_destroy(plan);
    actune_context_close(context);
    return failed != 0;
}
