#include "exported.h"

#include <sched.h>
#include <stdlib.h>

enum { STACK_BYTES = 4096, CACHE_LINE = 64, BUCKET_BITS = 6, NUMBER_BITS = 16 };

/* Found once and never changed, so several threads may look at the same time. */
static actune_status choose_level(at_exported_library *library, const at_exported_level **level)
{
    int chosen = atomic_load_explicit(&library->chosen, memory_order_relaxed);
    if (chosen == 0) {
        at_isa host = at_isa_limited(getenv(library->isa_variable));
        while (chosen < library->levels && !at_isa_runs_on(library->level[chosen].isa, host))
            chosen++;
        if (chosen == library->levels)
            return at_fail(ACTUNE_UNSUPPORTED, "this processor runs %s code, the library was made for %s: export it for that too",
                           at_isa_name(host), library->wanted);
        atomic_store_explicit(&library->chosen, ++chosen, memory_order_relaxed);
    }
    *level = &library->level[chosen - 1];
    return ACTUNE_OK;
}

/* A key and the variant found for it in one word, so that readers and writers need no lock. The lowest bit says that it is set. */
static uint64_t pack(const at_table_key *key, unsigned number)
{
    uint64_t packed = (uint64_t)key->size_bucket;
    packed = packed << BUCKET_BITS | (uint64_t)key->channel_bucket;
    packed = packed << BUCKET_BITS | (uint64_t)key->inner_bucket;
    packed = packed << 2 | (uint64_t)key->layout;
    packed = packed << 1 | (uint64_t)key->in_place;
    return (packed << NUMBER_BITS | number) << 1 | 1;
}

int at_exported_find(const unsigned char *block, const at_table_key *key)
{
    at_table table = at_table_view(block);
    at_table_match match = {.variant = "0"};
    at_table_find(&table, key, &match, 1);
    return (int)strtol(match.variant, NULL, 10);
}

/* The nearest winner, as in runtime/plan.c; of the shapes met last the answer is kept. */
static unsigned find_variant(const at_exported_level *level, at_exported_function *function, const at_table_key *key)
{
    uint64_t wanted = pack(key, 0), mask = ~(uint64_t)((1 << NUMBER_BITS) - 1) << 1 | 1;
    _Atomic uint64_t *place = &function->recalled[(unsigned)(key->size_bucket + key->in_place) % AT_EXPORTED_RECALLED];
    uint64_t known = atomic_load_explicit(place, memory_order_relaxed);
    if ((known & mask) == wanted)
        return (unsigned)(known >> 1) & ((1 << NUMBER_BITS) - 1);
    unsigned number = (unsigned)at_exported_find(level->table, key);
    atomic_store_explicit(place, pack(key, number), memory_order_relaxed);
    return number;
}

bool at_exported_in_place(const at_exported_function *function, void *const *ports)
{
    const at_signature *signature = &function->signature;
    int input = signature->direction == ACTUNE_BACKWARD;
    return input < signature->inputs && ports[input] == ports[signature->inputs] && signature->dtype_in == signature->dtype_out;
}

static size_t bytes_of(const at_exported_function *function, int port, actune_shape shape)
{
    return (size_t)at_port_count(&function->signature.port[port], shape) * function->bytes[port];
}

/* Output `port` shares memory with an earlier port, but for y where x is (dx: dy). */
static actune_status check_overlaps(const at_exported_function *function, void *const *ports, actune_shape shape, int port)
{
    const at_signature *signature = &function->signature;
    uintptr_t first = (uintptr_t)ports[port], bytes = bytes_of(function, port, shape);
    for (int other = 0; other < port; other++) {
        uintptr_t second = (uintptr_t)ports[other], others = bytes_of(function, other, shape);
        bool apart = bytes == 0 || others == 0 || first >= second + others || second >= first + bytes;
        bool replaces = port == signature->inputs && other == (signature->direction == ACTUNE_BACKWARD) && at_exported_in_place(function, ports);
        if (!apart && !replaces)
            return at_fail(ACTUNE_INVALID_ARGUMENT, "%s: %s and %s overlap", function->name, signature->port[other].name,
                           signature->port[port].name);
    }
    return ACTUNE_OK;
}

actune_status at_exported_check(const at_exported_function *function, void *const *ports, actune_shape shape)
{
    const at_signature *signature = &function->signature;
    for (int i = 0; i < signature->ports; i++) {
        if (ports[i] == NULL && bytes_of(function, i, shape) > 0)
            return at_fail(ACTUNE_INVALID_ARGUMENT, "%s: %s is NULL", function->name, signature->port[i].name);
        if ((uintptr_t)ports[i] % function->bytes[i] != 0)
            return at_fail(ACTUNE_INVALID_ARGUMENT, "%s: %s is not aligned to its element type", function->name, signature->port[i].name);
    }
    for (int i = signature->inputs; i < signature->ports; i++)
        AT_TRY(check_overlaps(function, ports, shape, i));
    return ACTUNE_OK;
}

static int processors(void)
{
    cpu_set_t set;
    return sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : 1;
}

static int thread_limit(at_exported_library *library)
{
    int limit = atomic_load_explicit(&library->max_threads, memory_order_relaxed);
    if (limit == 0) {
        limit = processors();
        atomic_store_explicit(&library->max_threads, limit, memory_order_relaxed);
    }
    return limit;
}

/* NULL (the caller works alone) when it cannot be made. Of two that are made at once one stays. */
static at_pool *get_pool(at_exported_library *library)
{
    at_pool *pool = atomic_load(&library->pool), *made;
    if (pool != NULL || at_pool_create(processors(), &made) != ACTUNE_OK)
        return pool;
    if (atomic_compare_exchange_strong(&library->pool, &pool, made))
        return made;
    at_pool_destroy(made);
    return pool;
}

/* Memory for partial sums: the size stands in front, so that whoever takes it knows. */
typedef struct piece {
    _Alignas(CACHE_LINE) size_t bytes;
    _Alignas(CACHE_LINE) unsigned char memory[];
} piece;

static piece *take_piece(at_exported_library *library, size_t bytes)
{
    piece *spare = atomic_exchange(&library->spare, NULL);
    if (spare != NULL && spare->bytes >= bytes)
        return spare;
    free(spare);
    if (bytes > SIZE_MAX - 2 * sizeof *spare)
        return NULL;
    spare = aligned_alloc(CACHE_LINE, (sizeof *spare + bytes + CACHE_LINE - 1) / CACHE_LINE * CACHE_LINE);
    if (spare != NULL)
        spare->bytes = bytes;
    return spare;
}

static actune_status launch_with_memory(at_exported_library *library, const at_launch *launch, at_pool *pool, void *const *ports)
{
    _Alignas(CACHE_LINE) unsigned char small[STACK_BYTES];
    if (launch->workspace_bytes <= sizeof small) {
        at_launch_run(launch, pool, ports, small);
        return ACTUNE_OK;
    }
    piece *own = take_piece(library, launch->workspace_bytes);
    if (own == NULL)
        return at_fail(ACTUNE_NO_MEMORY, "no memory for %zu bytes of partial sums", launch->workspace_bytes);
    at_launch_run(launch, pool, ports, own->memory);
    free(atomic_exchange(&library->spare, own));
    return ACTUNE_OK;
}

actune_status at_exported_run(at_exported_library *library, at_exported_function *function, void *const *ports, actune_shape shape)
{
    const at_exported_level *level;
    const at_signature *signature = &function->signature;
    at_launch launch;
    at_layout layout = at_layout_of(signature, shape);
    AT_TRY(choose_level(library, &level));
    actune_status status = at_launch_init(&launch, signature, layout, shape, thread_limit(library));
    if (status != ACTUNE_OK)
        return at_fail_in(status, "%s", function->name);
    AT_TRY(at_exported_check(function, ports, shape));
    at_table_key key = at_table_key_of(&function->kernel, layout, shape, at_exported_in_place(function, ports));
    unsigned number = find_variant(level, function, &key);
    launch.function = level->variant[number];
    if (launch.threads > level->threads[number])
        launch.threads = level->threads[number];
    at_pool *pool = launch.threads > 1 ? get_pool(library) : NULL;
    if (pool == NULL)
        launch.threads = 1;
    return launch_with_memory(library, &launch, pool, ports);
}

actune_status at_exported_set_threads(at_exported_library *library, int threads)
{
    if (threads < 0)
        return at_fail(ACTUNE_INVALID_ARGUMENT, "%d threads; 0 means all processors", threads);
    int most = processors();
    atomic_store(&library->max_threads, threads > most ? most : threads);
    return ACTUNE_OK;
}

const char *at_exported_isa(at_exported_library *library)
{
    const at_exported_level *level;
    return choose_level(library, &level) == ACTUNE_OK ? at_isa_name(level->isa) : NULL;
}

void at_exported_release(at_exported_library *library)
{
    at_pool_destroy(atomic_exchange(&library->pool, NULL));
    free(atomic_exchange(&library->spare, NULL));
}
