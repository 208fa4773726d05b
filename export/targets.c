/* Instruction sets and architectures, each with the winners that dispatch would use there. */
#include "job.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char *tag_of(const char *name, at_arena *arena)
{
    char *tag = at_arena_strdup(arena, name);
    for (char *c = tag; c != NULL && *c != '\0'; c++)
        if (*c == '-')
            *c = '_';
    return tag;
}

/* Which device of the database --tuned-on means. */
typedef struct wanted_device {
    const char *id;
    at_arena *arena;
    at_store_device found;
    int count;
} wanted_device;

static actune_status match_device(void *user, const at_store_device *device)
{
    wanted_device *wanted = user;
    if (strncmp(device->id, wanted->id, strlen(wanted->id)) != 0)
        return ACTUNE_OK;
    wanted->count++;
    wanted->found = *device;
    wanted->found.id = at_arena_strdup(wanted->arena, device->id);
    wanted->found.kind = at_arena_strdup(wanted->arena, device->kind);
    wanted->found.model = at_arena_strdup(wanted->arena, device->model);
    wanted->found.capability = at_arena_strdup(wanted->arena, device->capability);
    bool good = wanted->found.id && wanted->found.kind && wanted->found.model && wanted->found.capability;
    return good ? ACTUNE_OK : at_export_no_memory();
}

static actune_status find_device(at_export_job *job, wanted_device *wanted)
{
    at_store *store;
    *wanted = (wanted_device){.id = job->request->tuned_on, .arena = &job->arena};
    if (wanted->id == NULL)
        return ACTUNE_OK;
    AT_TRY(at_store_open(job->request->database, AT_STORE_READ, &store));
    actune_status status = at_store_each_device(store, match_device, wanted);
    at_store_close(store);
    AT_TRY(status);
    if (wanted->count == 1)
        return ACTUNE_OK;
    return at_fail(ACTUNE_NOT_FOUND, "%s device of the database has an id that begins with '%s'; `actune db dump` lists them",
                   wanted->count == 0 ? "no" : "more than one", wanted->id);
}

/* The device is this machine, or the one that was named, at the target's level: tables of its own winners, then of its kin. */
static actune_status describe(at_export_target *target, const wanted_device *wanted)
{
    at_device *device = &target->device;
    if (!target->target.cuda) {
        at_device here;
        AT_TRY(at_device_get("cpu", &here));
        AT_TRY(at_device_read("", target->target.isa, here.processors, 0, device));
        if (target->target.isa == here.isa)
            *device = here;
    } else
        *device = (at_device){.kind = "cuda", .cuda_ordinal = -1, .cuda_arch = target->target.cuda_arch};
    snprintf(device->capability, sizeof device->capability, "%s", target->name);
    if (wanted->count == 0 || strcmp(wanted->found.kind, device->kind) != 0)
        return ACTUNE_OK;
    snprintf(device->model, sizeof device->model, "%s", wanted->found.model);
    bool same_level = strcmp(wanted->found.capability, target->name) == 0;
    snprintf(device->id, sizeof device->id, "%s", same_level ? wanted->found.id : "none");
    device->processors = (int)wanted->found.processors;
    device->l2_bytes = wanted->found.l2_bytes;
    device->l3_bytes = wanted->found.l3_bytes;
    return ACTUNE_OK;
}

static actune_status open_target(at_export_job *job, at_target target, const char *name, const wanted_device *wanted)
{
    at_export_target *made = &job->target[job->targets++];
    made->target = target;
    made->name = at_arena_strdup(&job->arena, name);
    made->tag = made->name != NULL ? tag_of(name, &job->arena) : NULL;
    if (made->tag == NULL)
        return at_export_no_memory();
    AT_TRY(describe(made, wanted));
    return at_dispatch_load(job->request->database, &made->device, &made->dispatch);
}

/* Best first: dispatch takes the first that the machine can run. */
static void sort_down(int *value, int count)
{
    for (int i = 1; i < count; i++)
        for (int k = i; k > 0 && value[k] > value[k - 1]; k--) {
            int other = value[k];
            value[k] = value[k - 1];
            value[k - 1] = other;
        }
}

static int drop_equal(int *value, int count)
{
    int kept = 0;
    for (int i = 0; i < count; i++)
        if (kept == 0 || value[kept - 1] != value[i])
            value[kept++] = value[i];
    return kept;
}

static actune_status open_all(at_export_job *job, const wanted_device *wanted)
{
    const at_export_request *request = job->request;
    int isa[AT_EXPORT_ISAS_MAX], arch[AT_EXPORT_ARCHS_MAX];
    char name[32];
    for (int i = 0; i < request->isas_count; i++)
        isa[i] = (int)request->isas[i];
    memcpy(arch, request->archs, sizeof arch);
    sort_down(isa, request->isas_count);
    sort_down(arch, request->archs_count);
    int isas = request->cpu ? drop_equal(isa, request->isas_count) : 0;
    int archs = request->cuda ? drop_equal(arch, request->archs_count) : 0;
    for (int i = 0; i < isas; i++)
        AT_TRY(open_target(job, (at_target){.isa = (at_isa)isa[i]}, at_isa_name((at_isa)isa[i]), wanted));
    for (int i = 0; i < archs; i++) {
        snprintf(name, sizeof name, "sm_%d", arch[i]);
        AT_TRY(open_target(job, (at_target){.cuda = true, .cuda_arch = arch[i]}, name, wanted));
    }
    return ACTUNE_OK;
}

actune_status at_export_open_targets(at_export_job *job)
{
    const char *database = job->request->database;
    wanted_device wanted;
    if (database != NULL && database[0] != '\0' && access(database, F_OK) != 0)
        return at_fail(ACTUNE_NOT_FOUND, "there is no database %s; without --db the user's own is read, and --db '' takes defaults alone", database);
    AT_TRY(find_device(job, &wanted));
    return open_all(job, &wanted);
}

void at_export_close_targets(at_export_job *job)
{
    for (at_export_target *t = job->target; t < job->target + job->targets; t++) {
        at_dispatch_free(t->dispatch);
        for (int i = 0; i < t->variants; i++)
            free(t->variant[i].source);
        free(t->variant);
        free(t->row);
    }
}
