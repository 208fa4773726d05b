/* Races that were under way when a run was killed: their samples, kept about every second, and taken up again by the
   same command. Whole rounds are restored, so that samples stay paired; nothing is mixed that was measured under other
   conditions or of other source. */
#include "session.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SAVE_EVERY_S 1.0

/* What an arm is called: a variant by its text, the others by their part in the race. */
static void name_arm(const at_group *group, const at_race *race, int arm, at_strbuf *name)
{
    if (race->variant[arm] >= 0)
        at_variant_print(&group->space[race->variant[arm]], name);
    else if (arm < AT_ANCHORS)
        at_strbuf_printf(name, "memcpy %d", arm);
    else if (arm >= race->copies_from && arm < race->copies_from + race->copies)
        at_strbuf_printf(name, "copy %d", arm - race->copies_from);
    else
        at_strbuf_append(name, arm == race->plain ? "autovec" : "null");
}

static const char *source_of(const at_group *group, const at_race *race, int arm)
{
    int variant = arm == race->null_arm ? 0 : race->variant[arm];
    if (variant >= 0)
        return group->codes[at_group_candidate(group, variant)->code].source_hash.hex;
    return arm == race->plain                                                   ? group->plain_hash.hex
           : arm >= race->copies_from && arm < race->copies_from + race->copies ? group->session->copies.source_hash.hex
                                                                                : "";
}

static at_store_race race_key(const at_group *group, const at_race *race)
{
    const at_session *session = group->session;
    return (at_store_race){.device = session->device->id,
                           .kernel = group->kernel->hash.hex,
                           .stage = race->stage,
                           .conditions = session->conditions.hex,
                           .workload = race->workload};
}

/* --- saving --- */

actune_status at_resume_save(at_group *group, at_race *race, bool stored)
{
    at_store_progress *arms = calloc((size_t)race->count + 1, sizeof *arms);
    at_strbuf *names = calloc((size_t)race->count + 1, sizeof *names);
    actune_status status = arms && names ? ACTUNE_OK : at_fail(ACTUNE_NO_MEMORY, "no memory to keep a race");
    for (int i = 0; i < race->count && status == ACTUNE_OK; i++) {
        name_arm(group, race, i, &names[i]);
        status = at_strbuf_status(&names[i]);
        arms[i] = (at_store_progress){.arm = at_strbuf_text(&names[i]),
                                      .source_hash = source_of(group, race, i),
                                      .stored = stored,
                                      .samples_ns = race->arm[i].samples_ns,
                                      .samples = race->arm[i].samples};
    }
    at_store_race key = race_key(group, race);
    if (status == ACTUNE_OK)
        status = at_store_put_progress(group->session->store, &key, arms, race->count);
    for (int i = 0; names && i < race->count; i++)
        at_strbuf_clear(&names[i]);
    free(names);
    free(arms);
    race->saved_ns = at_now_ns();
    return status;
}

actune_status at_resume_save_sometimes(at_group *group, at_race *race)
{
    double every = group->session->options->save_every_s > 0 ? group->session->options->save_every_s : SAVE_EVERY_S;
    if (at_now_ns() - race->saved_ns < 1e9 * every)
        return ACTUNE_OK;
    actune_status status = at_resume_save(group, race, false);
    return status == ACTUNE_BUSY ? ACTUNE_OK : status; /* the next second will do */
}

/* --- taking up --- */

typedef struct restoring {
    const at_group *group;
    at_race *race;
    int found, rounds;
    bool stored;
} restoring;

static int find_arm(const restoring *of, const char *name, const char *source_hash)
{
    int found = -1;
    at_strbuf own = {0};
    for (int i = 0; i < of->race->count && found < 0; i++) {
        at_strbuf_clear(&own);
        name_arm(of->group, of->race, i, &own);
        if (strcmp(at_strbuf_text(&own), name) == 0 && strcmp(source_of(of->group, of->race, i), source_hash) == 0)
            found = i;
    }
    at_strbuf_clear(&own);
    return found;
}

static actune_status restore_arm(void *user, const at_store_progress *kept)
{
    restoring *of = user;
    int index = find_arm(of, kept->arm, kept->source_hash);
    if (index < 0 || kept->samples > AT_SAMPLES_MAX)
        return ACTUNE_OK;
    at_arm *arm = &of->race->arm[index];
    if (kept->samples > 0)
        memcpy(arm->samples_ns, kept->samples_ns, (size_t)kept->samples * sizeof *kept->samples_ns);
    arm->samples = kept->samples;
    of->found++;
    of->rounds = kept->samples > of->rounds ? kept->samples : of->rounds;
    of->stored = kept->stored;
    return ACTUNE_OK;
}

/* Arms that were out in the last round kept stay out: they have fewer samples. */
static bool is_whole(const restoring *of)
{
    for (int i = 0; i < AT_ANCHORS; i++)
        if (of->race->arm[i].samples != of->rounds)
            return false;
    /* Where compiling takes its share of the time, one run has other arms than the next: those that are new come too late. */
    if (!of->group->session->backend->core_stage)
        return of->rounds > 0 && of->race->first_default >= 0 && of->race->arm[of->race->first_default].samples == of->rounds;
    return of->found == of->race->count && of->rounds > 0;
}

actune_status at_resume_restore(const at_group *group, at_race *race)
{
    restoring of = {.group = group, .race = race};
    at_store_race key = race_key(group, race);
    race->saved_ns = at_now_ns();
    if (group->session->options->force)
        return ACTUNE_OK;
    AT_TRY(at_store_each_progress(group->session->store, &key, restore_arm, &of));
    bool whole = is_whole(&of);
    for (int i = 0; i < race->count; i++) {
        at_arm *arm = &race->arm[i];
        if (!whole)
            arm->samples = 0;
        else
            arm->active = arm->active && arm->samples == of.rounds; /* nor does one come back that could not be opened now */
    }
    race->rounds = race->restored = whole ? of.rounds : 0;
    race->stored = whole && of.stored;
    return ACTUNE_OK;
}

actune_status at_resume_has_core(const at_group *group, bool *has)
{
    const at_session *session = group->session;
    at_store_race key = {.device = session->device->id,
                         .kernel = group->kernel->hash.hex,
                         .stage = AT_RACE_CORE,
                         .conditions = session->conditions.hex,
                         .workload = {.layout = at_layout_name(group->layout)}};
    *has = false;
    return session->options->force ? ACTUNE_OK : at_store_has_progress(session->store, &key, has);
}

actune_status at_resume_forget(const at_group *group, const char *stage, const at_store_workload *workload)
{
    return at_store_drop_progress(group->session->store, group->session->device->id, group->kernel->hash.hex, stage,
                                  at_layout_name(group->layout), workload);
}
