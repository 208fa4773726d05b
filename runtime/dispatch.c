#include "dispatch.h"

#include "../db/store.h"
#include "base/arena.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

/* How near a device is. Each has a table of its own. */
typedef enum kinship { KIN_SELF, KIN_MODEL, KIN_CAPABILITY, KIN_COUNT } kinship;

enum { MATCHES_PER_TABLE = 3 };

/* Winners, and of those that another library computes the best that we do. */
typedef enum role { ROLE_WINNER, ROLE_OURS, ROLE_COUNT } role;

enum { TABLES = KIN_COUNT * ROLE_COUNT };

struct at_dispatch {
    unsigned char *block[TABLES];
    at_table table[TABLES]; /* table_of */
};

static int table_of(kinship kin, role of)
{
    return (int)kin * ROLE_COUNT + (int)of;
}

/* While the database is read. */
typedef struct loading_state {
    const at_device *device;
    at_store *store;
    at_arena arena;
    kinship kin; /* whose choices are being read */
    int order;   /* of the device among its kin: earlier ones win */
    at_table_row *rows[TABLES];
    int count[TABLES], capacity[TABLES];
    const char **relatives; /* ids, to be read after the walk over the devices */
    kinship *kinships;
    int relative_count;
} loading_state;

static bool is_hash(const char *text)
{
    return text != NULL && strlen(text) == 32 && strspn(text, "0123456789abcdef") == 32;
}

static bool find_layout(const char *name, at_layout *layout)
{
    for (at_layout l = AT_LAYOUT_FLAT; l <= AT_LAYOUT_CHANNEL_OUTER; l++)
        if (strcmp(at_layout_name(l), name) == 0) {
            *layout = l;
            return true;
        }
    return false;
}

/* Of a cold and a warm winner for one size the one measured as the tensor will be met: cold beyond the cache
   (MEASURING: the default regime of a size). */
static bool is_regime_of_size(const at_device *device, const at_store_workload *workload)
{
    bool beyond = workload->size_bucket < 60 && (INT64_C(8) << workload->size_bucket) > at_cache_bound(device);
    return beyond == (strcmp(workload->regime, "cold") == 0);
}

static at_table_row *next_row(loading_state *loading, role of)
{
    int table = table_of(loading->kin, of);
    if (loading->count[table] == loading->capacity[table]) {
        if (loading->capacity[table] > INT_MAX / 4)
            return NULL;
        int capacity = loading->capacity[table] * 2 + 64;
        at_table_row *rows = realloc(loading->rows[table], sizeof *rows * (size_t)capacity);
        if (rows == NULL)
            return NULL;
        loading->rows[table] = rows;
        loading->capacity[table] = capacity;
    }
    return &loading->rows[table][loading->count[table]++];
}

/* `row` has all but the variant. */
static actune_status add_row(loading_state *loading, role of, at_table_row row, const char *variant, const char *source_hash)
{
    memcpy(row.source_hash.hex, source_hash, sizeof row.source_hash.hex);
    row.variant = at_arena_strdup(&loading->arena, variant);
    at_table_row *place = next_row(loading, of);
    if (row.variant == NULL || place == NULL)
        return at_fail(ACTUNE_NO_MEMORY, "no memory for the dispatch table");
    *place = row;
    return ACTUNE_OK;
}

/* A row that dispatch could never use (no hash, a layout of a later version) is passed over. */
static actune_status add_choice(void *user, const at_store_choice *choice)
{
    loading_state *loading = user;
    const at_store_workload *workload = &choice->workload;
    at_table_row row = {.key = {.size_bucket = workload->size_bucket,
                                .channel_bucket = workload->channel_bucket,
                                .inner_bucket = workload->inner_bucket,
                                .in_place = workload->in_place}};
    if (!is_hash(choice->kernel) || !is_hash(choice->source_hash) || !find_layout(workload->layout, &row.key.layout))
        return ACTUNE_OK;
    memcpy(row.key.kernel.hex, choice->kernel, sizeof row.key.kernel.hex);
    row.rank = 2 * loading->order + !is_regime_of_size(loading->device, workload);
    AT_TRY(add_row(loading, ROLE_WINNER, row, choice->variant_text, choice->source_hash));
    return is_hash(choice->ours_hash) ? add_row(loading, ROLE_OURS, row, choice->ours_text, choice->ours_hash) : ACTUNE_OK;
}

static actune_status add_relative(void *user, const at_store_device *other)
{
    loading_state *loading = user;
    const at_device *device = loading->device;
    if (strcmp(other->id, device->id) == 0 || strcmp(other->kind, device->kind) != 0 ||
        strcmp(other->capability, device->capability) != 0)
        return ACTUNE_OK;
    size_t count = (size_t)loading->relative_count + 1;
    const char **relatives = realloc(loading->relatives, sizeof *relatives * count);
    if (relatives != NULL)
        loading->relatives = relatives;
    kinship *kinships = realloc(loading->kinships, sizeof *kinships * count);
    if (kinships != NULL)
        loading->kinships = kinships;
    char *id = at_arena_strdup(&loading->arena, other->id);
    if (relatives == NULL || kinships == NULL || id == NULL)
        return at_fail(ACTUNE_NO_MEMORY, "no memory for the dispatch table");
    relatives[count - 1] = id;
    kinships[count - 1] = strcmp(other->model, device->model) == 0 ? KIN_MODEL : KIN_CAPABILITY;
    loading->relative_count++;
    return ACTUNE_OK;
}

static actune_status read_store(loading_state *loading)
{
    loading->kin = KIN_SELF;
    AT_TRY(at_store_each_choice(loading->store, loading->device->id, NULL, add_choice, loading));
    AT_TRY(at_store_each_device(loading->store, add_relative, loading));
    for (int i = 0; i < loading->relative_count; i++) {
        loading->kin = loading->kinships[i];
        loading->order = i;
        AT_TRY(at_store_each_choice(loading->store, loading->relatives[i], NULL, add_choice, loading));
    }
    return ACTUNE_OK;
}

static actune_status build_tables(loading_state *loading, at_dispatch *dispatch)
{
    for (int i = 0; i < TABLES; i++) {
        size_t size;
        AT_TRY(at_table_build(loading->rows[i], loading->count[i], &dispatch->block[i], &size));
        AT_TRY(at_table_open(dispatch->block[i], size, &dispatch->table[i]));
    }
    return ACTUNE_OK;
}

static void clear_loading(loading_state *loading)
{
    for (int i = 0; i < TABLES; i++)
        free(loading->rows[i]);
    free(loading->relatives);
    free(loading->kinships);
    at_arena_clear(&loading->arena);
    at_store_close(loading->store);
}

actune_status at_dispatch_load(const char *database, const at_device *device, at_dispatch **dispatch)
{
    *dispatch = NULL;
    loading_state loading = {.device = device};
    bool none = database != NULL && database[0] == '\0';
    if (!none)
        AT_TRY(at_store_open(database, AT_STORE_READ, &loading.store));
    at_dispatch *new = calloc(1, sizeof *new);
    actune_status status = new != NULL ? ACTUNE_OK : at_fail(ACTUNE_NO_MEMORY, "no memory for the dispatch table");
    if (status == ACTUNE_OK && loading.store != NULL)
        status = read_store(&loading);
    if (status == ACTUNE_OK)
        status = build_tables(&loading, new);
    clear_loading(&loading);
    if (status != ACTUNE_OK) {
        at_dispatch_free(new);
        return status;
    }
    *dispatch = new;
    return ACTUNE_OK;
}

void at_dispatch_free(at_dispatch *dispatch)
{
    if (dispatch == NULL)
        return;
    for (int i = 0; i < TABLES; i++)
        free(dispatch->block[i]);
    free(dispatch);
}

static const char *tier_of(kinship kin, at_table_fit fit)
{
    static const char *const own[] = {"exact", "nearest size", "other layout"};
    static const char *const kin_names[] = {NULL, "same model", "same capability"};
    return kin == KIN_SELF ? own[fit] : kin_names[kin];
}

static bool known(const at_dispatched *candidates, int count, const at_table_match *match)
{
    for (int i = 0; i < count; i++)
        if (strcmp(candidates[i].variant, match->variant) == 0 &&
            strcmp(candidates[i].source_hash.hex, match->source_hash.hex) == 0)
            return true;
    return false;
}

/* Streaming stores pay out of place alone: in place the line was just read. */
static bool is_borrowable(const char *variant)
{
    return strstr(variant, "store=stream") == NULL;
}

/* Where candidates go, and what may be among them. */
typedef struct gathering {
    const at_dispatch *dispatch;
    const at_table_key *key;
    bool borrowed; /* for a plan in place what won out of place */
    at_dispatched *candidates;
    int count;
} gathering;

static void add_match(gathering *g, kinship kin, const at_table_match *match)
{
    if (g->count == AT_CANDIDATES_MAX || known(g->candidates, g->count, match) || (g->borrowed && !is_borrowable(match->variant)))
        return;
    const char *tier = g->borrowed ? "out of place" : tier_of(kin, match->fit);
    g->candidates[g->count++] = (at_dispatched){match->variant, match->source_hash, tier};
}

/* Behind a winner that is not ours comes the best of ours at the same place. */
static void add_matches(gathering *g)
{
    for (int kin = 0; kin < KIN_COUNT; kin++) {
        at_table_match match[MATCHES_PER_TABLE], ours;
        int found = at_table_find(&g->dispatch->table[table_of(kin, ROLE_WINNER)], g->key, match, MATCHES_PER_TABLE);
        int beside = at_table_find(&g->dispatch->table[table_of(kin, ROLE_OURS)], g->key, &ours, 1);
        for (int i = 0; i < found; i++) {
            add_match(g, (kinship)kin, &match[i]);
            if (i == 0 && beside > 0 && ours.fit == match[0].fit)
                add_match(g, (kinship)kin, &ours);
        }
    }
}

int at_dispatch_find(const at_dispatch *dispatch, const at_table_key *key, at_dispatched *candidates)
{
    gathering g = {.dispatch = dispatch, .key = key, .candidates = candidates};
    add_matches(&g);
    if (!key->in_place)
        return g.count;
    at_table_key elsewhere = *key;
    elsewhere.in_place = false;
    g.key = &elsewhere;
    g.borrowed = true;
    add_matches(&g);
    return g.count;
}
