/* Loaded binaries: one entry a key in a table of the process, shared by all caches and threads. */
#include "cpu_internal.h"

#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

struct at_binary {
    struct at_binary *next;
    char key[33]; /* of source, flags and ABI */
    char path[1024];
    void *handle;
    int references; /* callers that hold it or wait for it */
    bool building, ready;
};

static pthread_mutex_t table_mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t table_changed = PTHREAD_COND_INITIALIZER;
static at_binary *table;

typedef struct build_request {
    at_cache *cache;
    const char *source;
    at_flags flags;
    char key[33];
    bool no_compile;
    at_build_info *info;
} build_request;

static double now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return 1e3 * (double)t.tv_sec + 1e-6 * (double)t.tv_nsec;
}

static actune_status make_key(build_request *request)
{
    at_strbuf text = {0};
    at_strbuf_printf(&text, "actune abi %d seal 1\n", AT_KERNEL_ABI);
    for (int i = 0; i < request->flags.count; i++)
        at_strbuf_printf(&text, "%s\n", request->flags.flag[i]);
    at_strbuf_append(&text, request->source);
    actune_status status = at_strbuf_status(&text);
    if (!status)
        memcpy(request->key, at_hash_bytes(text.text, text.length).hex, sizeof request->key);
    at_strbuf_clear(&text);
    return status;
}

static actune_status fail_noexec(const at_cache *cache)
{
    return at_fail(ACTUNE_IO, "cache folder %s is on a mount that forbids execution (noexec): set XDG_CACHE_HOME to a folder elsewhere",
                   at_cache_folder(cache));
}

/* NOT_FOUND: no such file, or a damaged one, which is removed. */
static actune_status load(const at_cache *cache, const char *path, void **handle)
{
    at_bytes bytes;
    AT_TRY(at_file_read(path, &bytes));
    bool sealed = at_file_sealed(&bytes);
    free(bytes.data);
    if (!sealed) {
        unlink(path);
        return at_fail(ACTUNE_NOT_FOUND, "%s was damaged and has been removed", path);
    }
    if (at_cache_is_noexec(cache))
        return fail_noexec(cache);
    *handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (!*handle) {
        const char *why = dlerror();
        bool gone = access(path, F_OK) && errno == ENOENT;
        return at_fail(gone ? ACTUNE_NOT_FOUND : ACTUNE_IO, "%s does not load: %s", path, why ? why : "unknown reason");
    }
    at_cache_touch(path);
    return ACTUNE_OK;
}

/* A whole file that does not load (another machine's, another libm) is worth one new build. */
static actune_status load_cached(const at_cache *cache, const char *path, void **handle)
{
    actune_status status = load(cache, path, handle);
    if (status == ACTUNE_IO && !at_cache_is_noexec(cache) && !unlink(path))
        return at_fail_in(ACTUNE_NOT_FOUND, "removed from the cache");
    return status;
}

static actune_status names_for(const build_request *request, const char *compiler, char name[64], char *path, size_t size)
{
    char identity[AT_IDENTITY_LENGTH + 1];
    at_program_identity(compiler, identity);
    snprintf(name, 64, "%s-%s.so", request->key, identity);
    return at_cache_path(request->cache, name, path, size);
}

static actune_status compile_and_load(const build_request *request, at_binary *binary)
{
    char name[64], kept[1024];
    const at_compiler *compiler;
    double start = now_ms();
    AT_TRY(at_compiler_get(&compiler));
    AT_TRY(names_for(request, compiler->path, name, binary->path, sizeof binary->path));
    snprintf(kept, sizeof kept, "%.*s.c", (int)(strlen(binary->path) - 3), binary->path);
    if (at_cache_is_noexec(request->cache))
        return fail_noexec(request->cache);
    at_compile_job job = {.cache = request->cache, .compiler = compiler, .flags = &request->flags,
                          .source = request->source, .target = binary->path, .kept = kept};
    AT_TRY(at_compile(&job));
    request->info->compile_ms = now_ms() - start;
    /* The file may be evicted or replaced by another process from here on; one that vanished is asked for again by the caller. */
    AT_TRY(load(request->cache, binary->path, &binary->handle));
    at_cache_added(request->cache, name);
    return ACTUNE_OK;
}

static actune_status from_cache(const build_request *request, const char *compiler, at_binary *binary)
{
    char name[64];
    AT_TRY(names_for(request, compiler, name, binary->path, sizeof binary->path));
    return load_cached(request->cache, binary->path, &binary->handle);
}

/* A machine without a compiler still runs what another put into the folder, by whichever compiler. */
static actune_status from_any_compiler(const build_request *request, at_binary *binary)
{
    while (at_cache_find_any(request->cache, request->key, binary->path, sizeof binary->path)) {
        actune_status status = load_cached(request->cache, binary->path, &binary->handle);
        if (status != ACTUNE_NOT_FOUND || !access(binary->path, F_OK))
            return status;
    }
    return at_fail(ACTUNE_NOT_FOUND, "this kernel is not in the cache folder %s and compiling is switched off",
                   at_cache_folder(request->cache));
}

static actune_status build(const build_request *request, at_binary *binary)
{
    char located[AT_PROGRAM_PATH_MAX];
    const at_compiler *compiler;
    request->info->cached = true;
    if (request->no_compile)
        return from_any_compiler(request, binary);
    if (at_compiler_locate(located)) {
        actune_status status = from_cache(request, located, binary);
        if (status != ACTUNE_NOT_FOUND)
            return status;
    }
    if (at_compiler_get(&compiler)) {
        if (from_any_compiler(request, binary) == ACTUNE_OK)
            return ACTUNE_OK;
        return at_compiler_get(&compiler);
    }
    if (strcmp(compiler->path, located)) {
        actune_status status = from_cache(request, compiler->path, binary);
        if (status != ACTUNE_NOT_FOUND)
            return status;
    }
    request->info->cached = false;
    actune_status status = compile_and_load(request, binary);
    return status == ACTUNE_NOT_FOUND ? compile_and_load(request, binary) : status;
}

/* The entry of this key, made when there is none, with one reference more. */
static at_binary *enter(const char *key)
{
    at_binary *entry = table;
    while (entry && strcmp(entry->key, key))
        entry = entry->next;
    if (!entry && (entry = calloc(1, sizeof *entry))) {
        memcpy(entry->key, key, sizeof entry->key);
        entry->next = table;
        table = entry;
    }
    if (entry)
        entry->references++;
    return entry;
}

static void leave(at_binary *entry)
{
    if (--entry->references > 0)
        return;
    at_binary **link = &table;
    while (*link != entry)
        link = &(*link)->next;
    *link = entry->next;
    if (entry->handle)
        dlclose(entry->handle);
    free(entry);
}

/* One thread builds, the others of the same key wait; when it fails, the next one tries with its own cache and rights. */
static actune_status obtain(const build_request *request, at_binary **binary)
{
    pthread_mutex_lock(&table_mutex);
    at_binary *entry = enter(request->key);
    while (entry && entry->building)
        pthread_cond_wait(&table_changed, &table_mutex);
    bool mine = entry && !entry->ready;
    if (mine)
        entry->building = true;
    pthread_mutex_unlock(&table_mutex);
    if (!entry)
        return at_fail(ACTUNE_NO_MEMORY, "out of memory loading a kernel");
    request->info->cached = true;
    if (mine) {
        actune_status status = build(request, entry);
        pthread_mutex_lock(&table_mutex);
        entry->building = false;
        entry->ready = status == ACTUNE_OK;
        pthread_cond_broadcast(&table_changed);
        if (status)
            leave(entry);
        pthread_mutex_unlock(&table_mutex);
        AT_TRY(status);
    }
    *binary = entry;
    return ACTUNE_OK;
}

actune_status at_binary_build(at_cache *cache, const char *source, const char *march, bool no_compile, at_binary **binary,
                              at_build_info *info)
{
    at_build_info unused;
    build_request request = {.cache = cache, .source = source, .no_compile = no_compile, .info = info ? info : &unused};
    *binary = NULL;
    *request.info = (at_build_info){0};
    AT_TRY(at_flags_for(march, &request.flags));
    AT_TRY(make_key(&request));
    AT_TRY(obtain(&request, binary));
    snprintf(request.info->path, sizeof request.info->path, "%s", (*binary)->path);
    return ACTUNE_OK;
}

void at_binary_release(at_binary *binary)
{
    if (!binary)
        return;
    pthread_mutex_lock(&table_mutex);
    leave(binary);
    pthread_mutex_unlock(&table_mutex);
}

actune_kernel_fn at_binary_symbol(const at_binary *binary, const char *symbol)
{
    /* POSIX has dlsym's object pointer stand for functions; C has no cast for it. */
    actune_kernel_fn function = NULL;
    void *address = dlsym(binary->handle, symbol);
    memcpy(&function, &address, sizeof function);
    return function;
}

size_t at_binary_code(const at_binary *binary, const char *symbol, at_hash *hash)
{
    at_bytes bytes;
    size_t size = 0;
    if (at_file_read(binary->path, &bytes) == ACTUNE_OK && at_file_sealed(&bytes))
        size = at_elf_code(&bytes, symbol, hash);
    free(bytes.data);
    return size;
}
