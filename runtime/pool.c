#include "pool.h"

#include <fenv.h>
#include <limits.h>
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum {
    SPIN_NS = 30000, /* a waking worker costs 40-100 us, so spinning for about as long loses at most a factor of two */
    SPIN_CROWDED_NS = 2000, /* when the process has more workers than processors somebody else needs this one */
    PAUSES_PER_LOOK = 32,   /* between two readings of the clock */
    CACHE_LINE = 64,
    THREADS_MAX = 1024
};

/* One word a worker, so that a job for two threads wakes one worker and leaves the others asleep. */
typedef struct pool_worker {
    _Alignas(CACHE_LINE) _Atomic uint32_t ticket; /* counts the jobs given to this worker; the futex it sleeps on */
    _Atomic uint32_t asleep;
    struct at_pool *pool;
    int index; /* participant number, from 1; the caller is 0 */
    pthread_t thread;
} pool_worker;

typedef struct pool_job {
    void (*work)(void *user, int piece);
    void *user;
    int pieces, participants;
    fenv_t environment; /* the caller's rounding and flush-to-zero state: the same bits whichever thread does a piece */
} pool_job;

struct at_pool {
    _Alignas(CACHE_LINE) _Atomic uint32_t
        pending; /* workers that have not finished the job; the futex the caller sleeps on */
    _Atomic uint32_t caller_asleep;
    _Alignas(CACHE_LINE) atomic_flag busy;
    _Atomic bool stop;
    pool_job job; /* written while busy is held, before the tickets */
    int max_threads, started;
    unsigned fork_count;  /* of the process that owns the workers */
    pool_worker *workers; /* max_threads - 1, of which `started` run */
};

static _Atomic unsigned fork_count; /* how often this process and its ancestors forked, as seen from the child */
static _Atomic int workers_alive;   /* of all pools of the process */
static int processors = 1;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void after_fork_in_child(void)
{
    atomic_fetch_add_explicit(&fork_count, 1, memory_order_relaxed);
    atomic_store_explicit(&workers_alive, 0, memory_order_relaxed);
}

static void initialise(void)
{
    pthread_atfork(NULL, NULL, after_fork_in_child);
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set) == 0)
        processors = CPU_COUNT(&set);
    else if (sysconf(_SC_NPROCESSORS_ONLN) > 0)
        processors = (int)sysconf(_SC_NPROCESSORS_ONLN);
}

static bool forked(const at_pool *pool)
{
    return pool->fork_count != atomic_load_explicit(&fork_count, memory_order_relaxed);
}

static void futex_wait(_Atomic uint32_t *word, uint32_t while_value)
{
    syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, while_value, NULL, NULL, 0);
}

static void futex_wake(_Atomic uint32_t *word)
{
    syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, INT_MAX, NULL, NULL, 0);
}

static void relax(void)
{
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

static int64_t now_ns(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec * INT64_C(1000000000) + time.tv_nsec;
}

/* Spins until *word differs from `value`; false when the time for it is up. */
static bool spin_while(_Atomic uint32_t *word, uint32_t value)
{
    bool crowded = atomic_load_explicit(&workers_alive, memory_order_relaxed) >= processors;
    int64_t limit = crowded ? SPIN_CROWDED_NS : SPIN_NS;
    int64_t start = now_ns();
    do {
        for (int i = 0; i < PAUSES_PER_LOOK; i++) {
            if (atomic_load_explicit(word, memory_order_acquire) != value)
                return true;
            relax();
        }
    } while (now_ns() - start < limit);
    return false;
}

/* Returns when *word is no longer `value`. Whoever changes the word looks at *asleep afterwards; all four accesses are
   sequentially consistent, so either the sleeper sees the change or the changer sees the sleeper. */
static void wait_while(_Atomic uint32_t *word, uint32_t value, _Atomic uint32_t *asleep)
{
    if (spin_while(word, value))
        return;
    atomic_store(asleep, 1);
    while (atomic_load(word) == value)
        futex_wait(word, value);
    atomic_store(asleep, 0);
}

/* Piece i belongs to participant i mod participants: who does what depends on the numbers alone. */
static void do_pieces(const pool_job *job, int participant)
{
    for (int piece = participant; piece < job->pieces; piece += job->participants)
        job->work(job->user, piece);
}

static void *worker_main(void *argument)
{
    pool_worker *self = argument;
    at_pool *pool = self->pool;
    uint32_t seen = 0;
    for (;;) {
        wait_while(&self->ticket, seen, &self->asleep);
        seen = atomic_load_explicit(&self->ticket, memory_order_acquire);
        if (atomic_load(&pool->stop))
            return NULL;
        fesetenv(&pool->job.environment);
        do_pieces(&pool->job, self->index);
        if (atomic_fetch_sub(&pool->pending, 1) == 1 && atomic_load(&pool->caller_asleep))
            futex_wake(&pool->pending);
    }
}

static void give_ticket(pool_worker *worker)
{
    atomic_fetch_add(&worker->ticket, 1);
    if (atomic_load(&worker->asleep))
        futex_wake(&worker->ticket);
}

/* Starts workers until `wanted` run or the system refuses; signals stay with the host's own threads. */
static void start_workers(at_pool *pool, int wanted)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    for (; pool->started < wanted; pool->started++) {
        pool_worker *next = &pool->workers[pool->started];
        next->pool = pool;
        next->index = pool->started + 1;
        if (pthread_create(&next->thread, NULL, worker_main, next) != 0)
            break;
        atomic_fetch_add_explicit(&workers_alive, 1, memory_order_relaxed);
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
}

actune_status at_pool_create(int max_threads, at_pool **pool)
{
    *pool = NULL;
    pthread_once(&once, initialise);
    if (max_threads <= 0 || max_threads > processors)
        max_threads = processors;
    if (max_threads > THREADS_MAX)
        max_threads = THREADS_MAX;
    at_pool *new = aligned_alloc(CACHE_LINE, sizeof *new);
    if (new == NULL)
        return at_fail(ACTUNE_NO_MEMORY, "no memory for a thread pool");
    *new = (at_pool){.max_threads = max_threads, .busy = ATOMIC_FLAG_INIT};
    new->fork_count = atomic_load_explicit(&fork_count, memory_order_relaxed);
    if (max_threads > 1) {
        new->workers = aligned_alloc(CACHE_LINE, sizeof *new->workers *(size_t)(max_threads - 1));
        if (new->workers == NULL) {
            free(new);
            return at_fail(ACTUNE_NO_MEMORY, "no memory for a pool of %d threads", max_threads);
        }
        for (int i = 0; i < max_threads - 1; i++)
            new->workers[i] = (pool_worker){0};
    }
    *pool = new;
    return ACTUNE_OK;
}

void at_pool_destroy(at_pool *pool)
{
    if (pool == NULL)
        return;
    if (!forked(pool)) { /* a forked child has a copy of the pool but none of its threads */
        atomic_store(&pool->stop, true);
        for (int i = 0; i < pool->started; i++)
            give_ticket(&pool->workers[i]);
        for (int i = 0; i < pool->started; i++)
            pthread_join(pool->workers[i].thread, NULL);
        atomic_fetch_sub_explicit(&workers_alive, pool->started, memory_order_relaxed);
    }
    free(pool->workers);
    free(pool);
}

int at_pool_threads(const at_pool *pool)
{
    return pool->max_threads;
}

/* True when the caller now owns the pool and at least one worker is there to help. */
static bool take(at_pool *pool, int pieces)
{
    if (pool == NULL || pieces < 2 || pool->max_threads < 2 || forked(pool))
        return false;
    if (atomic_flag_test_and_set_explicit(&pool->busy, memory_order_acquire))
        return false;
    int wanted = (pieces < pool->max_threads ? pieces : pool->max_threads) - 1;
    if (pool->started < wanted)
        start_workers(pool, wanted);
    if (pool->started > 0)
        return true;
    atomic_flag_clear_explicit(&pool->busy, memory_order_release);
    return false;
}

void at_pool_run(at_pool *pool, int pieces, void (*work)(void *user, int piece), void *user)
{
    if (!take(pool, pieces)) {
        do_pieces(&(pool_job){.work = work, .user = user, .pieces = pieces, .participants = 1}, 0);
        return;
    }
    int helpers = pieces - 1 < pool->started ? pieces - 1 : pool->started;
    pool->job = (pool_job){.work = work, .user = user, .pieces = pieces, .participants = helpers + 1};
    fegetenv(&pool->job.environment);
    atomic_store(&pool->pending, (uint32_t)helpers);
    for (int i = 0; i < helpers; i++)
        give_ticket(&pool->workers[i]);
    do_pieces(&pool->job, 0);
    for (uint32_t left; (left = atomic_load_explicit(&pool->pending, memory_order_acquire)) != 0;)
        wait_while(&pool->pending, left, &pool->caller_asleep);
    atomic_flag_clear_explicit(&pool->busy, memory_order_release);
}
