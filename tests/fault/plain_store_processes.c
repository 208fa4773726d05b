/* Many processes on one database: made by all at once, written by all at once, killed in the middle. What a transaction wrote is there
   whole or not at all, nothing committed is lost, and the file stays sound. */
#include "db/store.h"
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { WRITERS = 8, ROWS = 100, KILL_ROUNDS = 25 };

static char folder[64], database[128];
static volatile long *committed; /* by each writer, in shared memory */

#define CHECK(condition)                                                                                             \
    do {                                                                                                             \
        if (!(condition)) {                                                                                          \
            fprintf(stderr, "%s:%d: %s [last error: %s]\n", __FILE__, __LINE__, #condition, actune_last_error());    \
            _exit(1);                                                                                                \
        }                                                                                                            \
    } while (0)

static at_store *open_store(at_store_mode mode)
{
    at_store *store;
    CHECK(at_store_open(database, mode, &store) == ACTUNE_OK && store);
    return store;
}

static void put_base(at_store *store, int64_t *session, int64_t *variant)
{
    at_store_device device = {"cpu-1", "cpu", "m", "c", 2, 1, 1, 1};
    at_store_kernel kernel = {"k1", "relu", "forward", "f32", "f32", "standard"};
    at_store_session s = {"cpu-1", "{}", "{}", getpid()};
    at_store_variant v = {"k1", "s1", "cpu/elementwise width=64"};
    CHECK(at_store_put_device(store, &device) == ACTUNE_OK && at_store_put_kernel(store, &kernel) == ACTUNE_OK);
    CHECK(at_store_put_session(store, &s, session) == ACTUNE_OK && at_store_put_variant(store, &v, variant) == ACTUNE_OK);
}

/* Two measurements and a choice that belong together. */
static void put_group(at_store *store, int64_t session, int64_t variant, int writer, double number)
{
    double samples[] = {number, number + 1};
    at_store_workload workload = {"flat", writer, 0, 0, false, "warm"};
    at_store_measurement m = {variant, session, workload, number, number, number, 1, samples, 2};
    at_store_choice c = {.device = "cpu-1", .kernel = "k1", .workload = workload, .variant = variant, .session = session,
                         .median_ns = number, .ratio_to_copy = 1, .gain_over_default = 1, .pct_roof = 1, .tie_set = "", .origin = "measured"};
    CHECK(at_store_begin(store) == ACTUNE_OK);
    CHECK(at_store_put_measurement(store, &m) == ACTUNE_OK && at_store_put_choice(store, &c) == ACTUNE_OK);
    CHECK(at_store_put_measurement(store, &m) == ACTUNE_OK && at_store_commit(store) == ACTUNE_OK);
}

static void write_rows(int writer, long rows)
{
    int64_t session, variant;
    at_store *store = open_store(AT_STORE_WRITE);
    put_base(store, &session, &variant);
    for (long i = 0; i < rows; i++) {
        put_group(store, session, variant, writer, (double)(committed[writer] + 1));
        committed[writer]++;
    }
    at_store_close(store);
}

typedef struct totals {
    long measurements[WRITERS];
    double choice[WRITERS];
} totals;

static actune_status count_measurement(void *user, const char *variant_text, const at_store_measurement *m)
{
    totals *t = user;
    CHECK(!strcmp(variant_text, "cpu/elementwise width=64") && m->samples == 2 && m->samples_ns[1] == m->median_ns + 1);
    t->measurements[m->workload.size_bucket]++;
    return ACTUNE_OK;
}

static actune_status count_choice(void *user, const at_store_choice *c)
{
    totals *t = user;
    t->choice[c->workload.size_bucket] = c->median_ns;
    return ACTUNE_OK;
}

/* A writer that was killed may have committed one group that it did not live to count. */
static void check_totals(int slack)
{
    totals t = {0};
    at_store *store = open_store(AT_STORE_READ);
    CHECK(at_store_each_measurement(store, NULL, NULL, NULL, count_measurement, &t) == ACTUNE_OK);
    CHECK(at_store_each_choice(store, "cpu-1", NULL, count_choice, &t) == ACTUNE_OK);
    CHECK(at_store_check(store, NULL, NULL) == ACTUNE_OK);
    at_store_close(store);
    for (int i = 0; i < WRITERS; i++) {
        CHECK(t.measurements[i] % 2 == 0);
        CHECK(t.measurements[i] / 2 >= committed[i] && t.measurements[i] / 2 <= committed[i] + slack);
        CHECK(t.choice[i] >= (double)committed[i] && t.choice[i] <= (double)(committed[i] + 1));
        committed[i] = t.measurements[i] / 2;
    }
}

static void start_all(pid_t pid[WRITERS], long rows)
{
    for (int i = 0; i < WRITERS; i++) {
        pid[i] = fork();
        CHECK(pid[i] >= 0);
        if (pid[i] == 0) {
            write_rows(i, rows);
            _exit(0);
        }
    }
}

/* Opening a file that is not there, by all at once, many times over. */
static void race_to_make(void)
{
    for (int round = 0; round < 20; round++) {
        pid_t pid[WRITERS];
        snprintf(database, sizeof database, "%s/made%d/x.db", folder, round);
        for (int i = 0; i < WRITERS; i++) {
            pid[i] = fork();
            if (pid[i] == 0) {
                int64_t session, variant;
                at_store *store = open_store(AT_STORE_WRITE);
                put_base(store, &session, &variant);
                at_store_close(store);
                _exit(0);
            }
        }
        for (int i = 0; i < WRITERS; i++) {
            int status;
            CHECK(waitpid(pid[i], &status, 0) == pid[i] && status == 0);
        }
    }
}

int main(void)
{
    strcpy(folder, "/tmp/actune-dbp-XXXXXX");
    CHECK(mkdtemp(folder));
    committed = mmap(NULL, sizeof(long) * WRITERS, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    CHECK(committed != MAP_FAILED);
    race_to_make();
    snprintf(database, sizeof database, "%s/all.db", folder);
    pid_t pid[WRITERS];
    start_all(pid, ROWS);
    for (int i = 0; i < WRITERS; i++) {
        int status;
        CHECK(waitpid(pid[i], &status, 0) == pid[i] && status == 0);
        CHECK(committed[i] == ROWS);
    }
    check_totals(0);
    srand(1);
    for (int round = 0; round < KILL_ROUNDS; round++) {
        start_all(pid, 1000000);
        nanosleep(&(struct timespec){.tv_nsec = 1000000L * (5 + rand() % 60)}, NULL);
        for (int i = 0; i < WRITERS; i++)
            kill(pid[i], SIGKILL);
        for (int i = 0; i < WRITERS; i++)
            CHECK(waitpid(pid[i], NULL, 0) == pid[i]);
        check_totals(1);
    }
    long all = 0;
    for (int i = 0; i < WRITERS; i++)
        all += committed[i];
    char command[160];
    snprintf(command, sizeof command, "rm -rf %s", folder);
    CHECK(system(command) == 0);
    printf("%ld transactions of %d processes, %d kills: nothing lost, nothing halved\n", all, WRITERS, KILL_ROUNDS * WRITERS);
    return 0;
}
