/* Many threads execute one plan at once, on their own buffers: elementwise, with sums, small and large enough for the
   pool, interpreted and compiled, while other threads make and destroy plans of the same context. A plain main, so that
   ThreadSanitizer can watch. */
#include <actune/actune.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { THREADS = 6, ROUNDS = 12, CHANNELS = 50, ROWS_MAX = 1200 };

typedef struct job {
    actune_context *context; /* of make_plans */
    const actune_plan *plan; /* of run_forward and run_backward */
    int64_t rows;
    float first; /* x is filled from it, so that results that get mixed up show */
    int failures;
} job;

static const char *const gradients[] = {"bias"};

static float limit(float x)
{
    return x < -1 ? -1 : x > 1 ? 1 : x;
}

static int check(const char *what, actune_status status)
{
    if (status != ACTUNE_OK)
        fprintf(stderr, "%s: %s\n", what, actune_last_error());
    return status != ACTUNE_OK;
}

/* y = clip(x, -1, 1) */
static void *run_forward(void *argument)
{
    job *j = argument;
    int64_t n = j->rows * CHANNELS;
    float *x = malloc(sizeof *x * (size_t)n), *y = malloc(sizeof *y * (size_t)n);
    actune_buffer buffers[] = {{x, n, ACTUNE_F32}, {y, n, ACTUNE_F32}};
    for (int64_t i = 0; i < n; i++)
        x[i] = j->first + (float)(i % 257) / 64;
    for (int round = 0; round < ROUNDS; round++) {
        memset(y, 0xff, sizeof *y * (size_t)n);
        j->failures += check("execute", actune_execute(j->plan, buffers, 2));
        for (int64_t i = 0; i < n; i++)
            j->failures += y[i] != limit(x[i]);
    }
    free(x), free(y);
    return NULL;
}

/* dx = dy where |x + bias| <= 1; dbias = its sum over rows (small integers: exact). */
static void *run_backward(void *argument)
{
    job *j = argument;
    int64_t n = j->rows * CHANNELS;
    float *x = malloc(sizeof *x * (size_t)n), *dy = malloc(sizeof *dy * (size_t)n),
          *dx = malloc(sizeof *dx * (size_t)n);
    float bias[CHANNELS] = {0}, dbias[CHANNELS];
    double want[CHANNELS] = {0};
    actune_buffer buffers[] = {{x, n, 0}, {dy, n, 0}, {bias, CHANNELS, 0}, {dx, n, 0}, {dbias, CHANNELS, 0}};
    for (int64_t i = 0; i < n; i++) {
        x[i] = j->first / 8 + (float)(i % 7) / 4;
        dy[i] = (float)(i % 5);
        want[i % CHANNELS] += x[i] >= -1 && x[i] <= 1 ? dy[i] : 0;
    }
    for (int round = 0; round < ROUNDS; round++) {
        memset(dx, 0xff, sizeof *dx * (size_t)n);
        memset(dbias, 0xff, sizeof dbias);
        j->failures += check("execute backward", actune_execute(j->plan, buffers, 5));
        for (int64_t i = 0; i < n; i++)
            j->failures += dx[i] != (x[i] >= -1 && x[i] <= 1 ? dy[i] : 0);
        for (int c = 0; c < CHANNELS; c++)
            j->failures += dbias[c] != (float)want[c];
    }
    free(x), free(dy), free(dx);
    return NULL;
}

static int run_together(const actune_plan *plan, int64_t rows, void *(*run)(void *))
{
    pthread_t thread[THREADS];
    job jobs[THREADS];
    int failures = 0;
    for (int t = 0; t < THREADS; t++) {
        jobs[t] = (job){.plan = plan, .rows = rows, .first = (float)(-2 - t)};
        if (pthread_create(&thread[t], NULL, run, &jobs[t]) != 0)
            abort();
    }
    for (int t = 0; t < THREADS; t++) {
        pthread_join(thread[t], NULL);
        failures += jobs[t].failures;
    }
    return failures;
}

static actune_plan *make_plan(actune_context *context, int64_t rows, actune_direction direction)
{
    bool back = direction == ACTUNE_BACKWARD;
    actune_plan_desc desc = {.spec = back ? "bias | clip(-1, 1)" : "clip(-1, 1)",
                             .direction = direction,
                             .shape = {rows, CHANNELS, 1},
                             .gradients = gradients,
                             .gradient_count = back};
    actune_plan *plan;
    return check("plan", actune_plan_create(context, &desc, &plan)) ? NULL : plan;
}

static int run_shape(actune_context *context, int64_t rows, actune_direction direction)
{
    actune_plan *plan = make_plan(context, rows, direction);
    if (plan == NULL)
        return 1;
    int failures = run_together(plan, rows, direction == ACTUNE_BACKWARD ? run_backward : run_forward);
    actune_plan_destroy(plan);
    return failures;
}

static void *make_plans(void *argument)
{
    job *j = argument;
    for (int i = 0; i < 10; i++)
        j->failures += run_shape(j->context, 20 + i, i % 2 ? ACTUNE_BACKWARD : ACTUNE_FORWARD);
    return NULL;
}

static int make_plans_together(actune_context *context)
{
    pthread_t makers[2];
    job jobs[2] = {{.context = context}, {.context = context}};
    for (int i = 0; i < 2; i++)
        if (pthread_create(&makers[i], NULL, make_plans, &jobs[i]) != 0)
            abort();
    for (int i = 0; i < 2; i++)
        pthread_join(makers[i], NULL);
    return jobs[0].failures + jobs[1].failures;
}

/* In a child of fork the worker threads are gone: its plans run in the calling thread and do not hang. */
static int run_in_child(const actune_plan *plan)
{
    job j = {.plan = plan, .rows = ROWS_MAX, .first = -2};
    pid_t child = fork();
    if (child == 0) {
        alarm(60);
        run_forward(&j);
        _exit(j.failures != 0);
    }
    int status;
    return waitpid(child, &status, 0) != child || !WIFEXITED(status) || WEXITSTATUS(status) != 0;
}

static int run_context(const char *interpret, const char *folder)
{
    static const int64_t rows[] = {1, 20, 163, 400, ROWS_MAX};
    setenv("ACTUNE_INTERPRET", interpret, 1);
    actune_context *context;
    actune_context_options options = {.database = "", .cache_folder = folder};
    if (check("context", actune_context_open(&options, &context)))
        return 1;
    int failures = 0;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        failures += run_shape(context, rows[i], ACTUNE_FORWARD);
        failures += run_shape(context, rows[i], ACTUNE_BACKWARD);
    }
    failures += make_plans_together(context);
    actune_plan *plan = make_plan(context, ROWS_MAX, ACTUNE_FORWARD);
    if (plan == NULL)
        return failures + 1;
    failures +=
        run_together(plan, ROWS_MAX, run_forward) + run_in_child(plan) + run_together(plan, ROWS_MAX, run_forward);
    actune_plan_destroy(plan);
    actune_context_close(context);
    return failures;
}

int main(void)
{
    char folder[128], command[256];
    snprintf(folder, sizeof folder, "/tmp/actune-test-threads-%ld", (long)getpid());
    snprintf(command, sizeof command, "rm -rf '%s'", folder);
    int failures = run_context("1", folder) + run_context("0", folder);
    failures += system(command) != 0;
    if (failures != 0)
        fprintf(stderr, "%d failures\n", failures);
    return failures != 0;
}
