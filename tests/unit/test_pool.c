#include "runtime/pool.h"

#include <criterion/criterion.h>
#include <fenv.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

enum { PIECES_MAX = 64 };

typedef struct tally {
    _Atomic int done[PIECES_MAX];
    pthread_t who[PIECES_MAX];
    at_pool *nested;
    int rounding;
} tally;

static void count(void *user, int piece)
{
    tally *t = user;
    atomic_fetch_add(&t->done[piece], 1);
    t->who[piece] = pthread_self();
}

static void run_and_check(at_pool *pool, int pieces)
{
    tally t = {0};
    at_pool_run(pool, pieces, count, &t);
    for (int i = 0; i < PIECES_MAX; i++)
        cr_assert_eq(t.done[i], i < pieces, "piece %d of %d was done %d times", i, pieces, t.done[i]);
}

static int processors(void)
{
    cpu_set_t set;
    return sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : 1;
}

Test(pool, every_piece_once_by_the_same_participant)
{
    at_pool *pool;
    cr_assert_eq(at_pool_create(0, &pool), ACTUNE_OK);
    cr_assert_eq(at_pool_threads(pool), processors());
    for (int pieces = 0; pieces <= PIECES_MAX; pieces++)
        run_and_check(pool, pieces);
    for (int i = 0; i < 5000; i++)
        run_and_check(pool, 1 + i % 5);
    tally t = {0};
    int threads = at_pool_threads(pool);
    at_pool_run(pool, PIECES_MAX, count, &t);
    cr_assert(pthread_equal(t.who[0], pthread_self()), "the caller takes part");
    for (int i = threads; i < PIECES_MAX; i++)
        cr_assert(pthread_equal(t.who[i], t.who[i % threads]), "piece %d", i);
    at_pool_destroy(pool);
    at_pool_destroy(NULL);
    run_and_check(NULL, 7);

    cr_assert_eq(at_pool_create(100000, &pool), ACTUNE_OK, "more threads than processors are not made");
    cr_assert_eq(at_pool_threads(pool), processors());
    at_pool_destroy(pool);
    cr_assert_eq(at_pool_create(1, &pool), ACTUNE_OK);
    cr_assert_eq(at_pool_threads(pool), 1);
    run_and_check(pool, 5);
    at_pool_destroy(pool);
}

static void run_inside(void *user, int piece)
{
    tally *t = user;
    tally inner = {0};
    at_pool_run(t->nested, 3, count, &inner);
    for (int i = 0; i < 3; i++)
        atomic_fetch_add(&t->done[piece], inner.done[i]);
}

static void *use_pool(void *pool)
{
    for (int i = 0; i < 2000; i++)
        run_and_check(pool, 1 + i % 4);
    return NULL;
}

Test(pool, busy_pool_leaves_the_caller_alone)
{
    at_pool *pool;
    cr_assert_eq(at_pool_create(0, &pool), ACTUNE_OK);
    tally t = {.nested = pool};
    at_pool_run(pool, 4, run_inside, &t);
    for (int i = 0; i < 4; i++)
        cr_assert_eq(t.done[i], 3);
    pthread_t thread[4];
    for (int i = 0; i < 4; i++)
        cr_assert_eq(pthread_create(&thread[i], NULL, use_pool, pool), 0);
    for (int i = 0; i < 4; i++)
        pthread_join(thread[i], NULL);
    at_pool_destroy(pool);
}

Test(pool, child_of_fork_works_alone)
{
    at_pool *pool;
    cr_assert_eq(at_pool_create(0, &pool), ACTUNE_OK);
    run_and_check(pool, 4);
    pid_t child = fork();
    if (child == 0) {
        alarm(20); /* a child that hangs is killed, and seen below */
        tally t = {0};
        at_pool_run(pool, 4, count, &t);
        bool good = true;
        for (int i = 0; i < 4; i++)
            good = good && t.done[i] == 1 && pthread_equal(t.who[i], pthread_self());
        at_pool_destroy(pool);
        at_pool *own; /* a pool made in the child has its own workers */
        good = good && at_pool_create(0, &own) == ACTUNE_OK;
        if (good) {
            run_and_check(own, 4);
            at_pool_destroy(own);
        }
        _exit(good ? 0 : 1);
    }
    int status;
    cr_assert_eq(waitpid(child, &status, 0), child);
    cr_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0, "status %d", status);
    run_and_check(pool, 4);
    at_pool_destroy(pool);
}

static double cpu_seconds(void)
{
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
           1e-6 * (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec);
}

Test(pool, idle_pool_sleeps)
{
    at_pool *pool;
    cr_assert_eq(at_pool_create(0, &pool), ACTUNE_OK);
    run_and_check(pool, 4);
    double before = cpu_seconds();
    usleep(300000);
    cr_assert_lt(cpu_seconds() - before, 0.1);
    run_and_check(pool, 4); /* sleepers wake */
    usleep(50000);
    at_pool_destroy(pool); /* also to go away */
}

static void look_at_rounding(void *user, int piece)
{
    (void)piece;
    tally *t = user;
    if (fegetround() != t->rounding)
        atomic_fetch_add(&t->done[0], 1);
}

Test(pool, workers_round_as_their_caller_does)
{
    at_pool *pool;
    cr_assert_eq(at_pool_create(0, &pool), ACTUNE_OK);
    static const int modes[] = {FE_UPWARD, FE_TONEAREST, FE_DOWNWARD, FE_TONEAREST};
    for (int i = 0; i < 4; i++) {
        tally t = {.rounding = modes[i]};
        fesetround(modes[i]);
        at_pool_run(pool, PIECES_MAX, look_at_rounding, &t);
        cr_assert_eq(fegetround(), modes[i]);
        cr_assert_eq(t.done[0], 0);
    }
    at_pool_destroy(pool);
}
