/* Threads that build, load and release the same few kernels, some of which do not compile. A plain main, for ThreadSanitizer. */
#include "runtime/backend/cpu.h"
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { THREADS = 8, ROUNDS = 40, KERNELS = 4 };

#define CHECK(condition)                                                                                          \
    do {                                                                                                          \
        if (!(condition)) {                                                                                       \
            fprintf(stderr, "%s:%d: %s [last error: %s]\n", __FILE__, __LINE__, #condition, actune_last_error()); \
            exit(1);                                                                                              \
        }                                                                                                         \
    } while (0)

static void build_one(at_cache *cache, int kernel)
{
    char source[256];
    at_binary *binary;
    at_build_info info;
    at_hash hash;
    float out = 0;
    void *port[] = {&out};
    actune_slice slice = {.port = port, .end = 1};
    snprintf(source, sizeof source, "__attribute__((visibility(\"default\"))) void entry(float *const *const *s) { **s[0] = %d; }", kernel);
    CHECK(at_binary_build(cache, source, NULL, false, &binary, &info) == ACTUNE_OK);
    at_binary_symbol(binary, "entry")(&slice);
    CHECK(out == (float)kernel && at_binary_code(binary, "entry", &hash) > 0);
    at_binary_release(binary);
}

static void *work(void *data)
{
    at_cache *cache = data, *own;
    at_binary *binary;
    CHECK(at_cache_open(NULL, &own) == ACTUNE_OK);
    for (int i = 0; i < ROUNDS; i++) {
        build_one(i % 2 ? cache : own, i % KERNELS);
        if (i == 3)
            CHECK(at_binary_build(cache, "#error no\n", NULL, false, &binary, NULL) == ACTUNE_COMPILE && !binary);
    }
    at_cache_close(own);
    return NULL;
}

int main(void)
{
    char folder[] = "/tmp/actune-cputhreads-XXXXXX", command[64];
    at_cache *cache;
    pthread_t thread[THREADS];
    CHECK(mkdtemp(folder) && !setenv("XDG_CACHE_HOME", folder, 1) && at_cache_open(NULL, &cache) == ACTUNE_OK);
    for (int i = 0; i < THREADS; i++)
        CHECK(!pthread_create(&thread[i], NULL, work, cache));
    for (int i = 0; i < THREADS; i++)
        pthread_join(thread[i], NULL);
    at_cache_close(cache);
    snprintf(command, sizeof command, "rm -rf %s", folder);
    CHECK(system(command) == 0);
    printf("%d threads, %d builds each\n", THREADS, ROUNDS);
    return 0;
}
