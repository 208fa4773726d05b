/* A server's loop: threads take requests of any length and run one kernel on each. A plan is made when a length comes for the first time;
   from then on its requests cost a look into a table and the kernel. The context records lengths that nobody has tuned:
   `actune tune --recorded` tunes them at night, and the next start finds the winners.

       cc server.c $(pkg-config --cflags --libs actune) -pthread -o server && ./server */
#include <actune/actune.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { THREADS = 4, REQUESTS = 2000, LENGTHS = 6, FEATURES = 64 };
static const int rows_of[LENGTHS] = {1, 2, 7, 16, 50, 128}; /* what clients send here */
static const char spec[] = "bias | silu | clip(-4, 4)";

static actune_context *context;
static actune_plan *_Atomic plans[LENGTHS]; /* each written once */
static pthread_mutex_t making = PTHREAD_MUTEX_INITIALIZER;
static atomic_int next_request, failures;
static float bias[FEATURES];

/* Threads that need a plan which is being made wait for it; everybody else never meets the lock. */
static const actune_plan *plan_for(int length)
{
    actune_plan *plan = atomic_load_explicit(&plans[length], memory_order_acquire);
    if (plan != NULL)
        return plan;
    pthread_mutex_lock(&making);
    plan = atomic_load_explicit(&plans[length], memory_order_relaxed);
    if (plan == NULL) {
        actune_plan_desc desc = {.spec = spec, .shape = {rows_of[length], FEATURES, 1}, .max_threads = 1};
        if (actune_plan_create(context, &desc, &plan) == ACTUNE_OK)
            atomic_store_explicit(&plans[length], plan, memory_order_release);
        else
            fprintf(stderr, "server: %s\n", actune_last_error());
    }
    pthread_mutex_unlock(&making);
    return plan;
}

static int answer(int request, float *x, float *y)
{
    int length = request * 7 % LENGTHS;
    int64_t count = (int64_t)rows_of[length] * FEATURES;
    for (int64_t i = 0; i < count; i++)
        x[i] = (float)((request + i) % 17) - 8;
    const actune_plan *plan = plan_for(length);
    actune_buffer buffers[] = {{x, count, ACTUNE_F32}, {bias, FEATURES, ACTUNE_F32}, {y, count, ACTUNE_F32}};
    if (plan == NULL || actune_execute(plan, buffers, 3) != ACTUNE_OK)
        return 1;
    /* What was sent back must be what was asked for: clip's upper bound where x is large. */
    for (int64_t i = 0; i < count; i++)
        if (x[i] + bias[i % FEATURES] >= 5 && y[i] != 4)
            return 1;
    return 0;
}

static void *serve(void *unused)
{
    float *x = malloc(128 * FEATURES * sizeof *x), *y = malloc(128 * FEATURES * sizeof *y);
    for (int request; x && y && (request = atomic_fetch_add(&next_request, 1)) < REQUESTS;)
        failures += answer(request, x, y);
    failures += !x || !y;
    free(x);
    free(y);
    return unused;
}

static void write_log(void *user, bool warning, const char *message)
{
    (void)user;
    printf("%s%s\n", warning ? "warning: " : "", message);
}

int main(void)
{
    actune_context_options options = {.tuning = ACTUNE_TUNING_RECORD, .log = write_log};
    if (actune_context_open(&options, &context) != ACTUNE_OK)
        return fprintf(stderr, "server: %s\n", actune_last_error()), 1;
    for (int i = 0; i < FEATURES; i++)
        bias[i] = 0.1f * (float)(i % 3);
    pthread_t thread[THREADS];
    int started = 0;
    while (started < THREADS && pthread_create(&thread[started], NULL, serve, NULL) == 0)
        started++;
    for (int i = 0; i < started; i++)
        pthread_join(thread[i], NULL);
    printf("%d requests by %d threads, %d failed\n", REQUESTS, started, (int)failures);
    for (int i = 0; i < LENGTHS; i++)
        actune_plan_destroy(plans[i]);
    actune_context_close(context);
    return failures != 0 || started == 0;
}
