/* Many threads execute one batch at once, on their own buffers and with rows of their own, while others make and destroy batches of the same context. A
   plain main, so that ThreadSanitizer can watch. */
#include <actune/actune.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { THREADS = 6, ROUNDS = 20, MEMBERS = 24, OUTER = 40, INNER = 100, EACH = OUTER * INNER };

typedef struct job {
    actune_context *context;
    const actune_batch *batch; /* NULL: makes its own, round after round */
    float first;
    int failures;
} job;

static void describe(actune_plan_desc *desc)
{
    for (int m = 0; m < MEMBERS; m++)
        desc[m] = (actune_plan_desc){.spec = m % 3 ? "clip(-1, 1)" : "clip(-1, 1) | clip(0, 2)", .shape = {OUTER, 1, INNER}};
}

static float limit(int member, float x)
{
    float least = member % 3 ? -1 : 0;
    return x < least ? least : x > 1 ? 1 : x;
}

static int run(const job *j, const actune_batch *batch, const float *x, float *y, int round)
{
    actune_buffer buffers[2 * MEMBERS];
    int64_t rows[MEMBERS];
    int failures = 0;
    for (int m = 0; m < MEMBERS; m++) {
        buffers[2 * m] = (actune_buffer){(void *)(x + m * EACH), EACH, ACTUNE_F32};
        buffers[2 * m + 1] = (actune_buffer){y + (MEMBERS - 1 - m) * EACH, EACH, ACTUNE_F32};
        rows[m] = (m * 7 + round) % (OUTER + 1);
    }
    memset(y, 0xff, sizeof *y * MEMBERS * EACH);
    actune_status status = actune_batch_execute(batch, buffers, 2 * MEMBERS, &(actune_batch_options){.rows = rows});
    if (status != ACTUNE_OK)
        fprintf(stderr, "%g: %s\n", (double)j->first, actune_last_error());
    failures += status != ACTUNE_OK;
    for (int m = 0; m < MEMBERS; m++)
        for (int i = 0; i < EACH; i++) {
            float got = y[(MEMBERS - 1 - m) * EACH + i];
            failures += i < rows[m] * INNER ? got != limit(m, x[m * EACH + i]) : got == got;
        }
    return failures;
}

static void *work(void *argument)
{
    job *j = argument;
    float *x = malloc(sizeof *x * MEMBERS * EACH), *y = malloc(sizeof *y * MEMBERS * EACH);
    actune_plan_desc desc[MEMBERS];
    describe(desc);
    for (int i = 0; i < MEMBERS * EACH; i++)
        x[i] = j->first + (float)(i % 257) / 64;
    for (int round = 0; round < ROUNDS; round++) {
        actune_batch *own = NULL;
        if (!j->batch)
            j->failures += actune_batch_create(j->context, desc, MEMBERS, &own) != ACTUNE_OK;
        if (j->batch || own)
            j->failures += run(j, own ? own : j->batch, x, y, round);
        actune_batch_destroy(own);
    }
    free(x), free(y);
    return NULL;
}

int main(void)
{
    char folder[] = "/tmp/actune-batchthreads-XXXXXX", command[64];
    actune_context *context;
    actune_batch *batch;
    actune_plan_desc desc[MEMBERS];
    pthread_t thread[THREADS];
    job jobs[THREADS];
    int failures = 0;
    if (!mkdtemp(folder))
        return 1;
    actune_context_options options = {.database = "", .cache_folder = folder};
    describe(desc);
    if (actune_context_open(&options, &context) || actune_batch_create(context, desc, MEMBERS, &batch)) {
        fprintf(stderr, "%s\n", actune_last_error());
        return 1;
    }
    for (int t = 0; t < THREADS; t++) {
        jobs[t] = (job){context, t % 3 == 2 ? NULL : batch, (float)t - 3, 0};
        pthread_create(&thread[t], NULL, work, &jobs[t]);
    }
    for (int t = 0; t < THREADS; t++) {
        pthread_join(thread[t], NULL);
        failures += jobs[t].failures;
    }
    actune_context_close(context); /* the batch keeps it */
    actune_batch_destroy(batch);
    snprintf(command, sizeof command, "rm -rf %s", folder);
    failures += system(command) != 0;
    printf("%d failures\n", failures);
    return failures > 0;
}
