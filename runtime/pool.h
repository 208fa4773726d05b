/* A persistent pool of worker threads: spins briefly, then sleeps; never more threads than processors allowed. */
#ifndef AT_RUNTIME_POOL_H
#define AT_RUNTIME_POOL_H

#include "base/status.h"

typedef struct at_pool at_pool;

/* No thread is started before the first at_pool_run that wants one. */
actune_status at_pool_create(int max_threads, at_pool **pool);
void at_pool_destroy(at_pool *pool);
int at_pool_threads(const at_pool *pool);
/* Runs work(user, i) for i in [0, pieces) on up to `pieces` threads, the caller being one of them; returns when all are
   done. When the pool is busy with another caller's work, or after fork, the caller does it all by itself. Never fails,
   never allocates. */
void at_pool_run(at_pool *pool, int pieces, void (*work)(void *user, int piece), void *user);

#endif
