/* Who has won a race, and what is reported of it. */
#include "session.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

static bool is_better_tie(const at_group *group, const at_race *race, int arm, int than)
{
    const int *variant = race->variant;
    if (than < 0 || arm == race->incumbent || than == race->incumbent)
        return than < 0 || arm == race->incumbent;
    if (arm == race->first_default || than == race->first_default)
        return arm == race->first_default;
    size_t own = group->codes[at_group_candidate(group, variant[arm])->code].code_bytes;
    size_t other = group->codes[at_group_candidate(group, variant[than])->code].code_bytes;
    return own != other ? own < other : variant[arm] < variant[than];
}

/* A winner that is not surely faster than what runs today (the incumbent, else the default), pair by pair, does not
 * replace it. */
static void require_gain(at_race *race)
{
    int today = race->incumbent >= 0 ? race->incumbent : race->first_default;
    if (race->winner < 0 || today < 0 || race->winner == today || race->arm[today].samples != race->rounds)
        return;
    at_interval gain = at_paired_log_ratio(race->arm[today].samples_ns, race->arm[race->winner].samples_ns,
                                           race->rounds, (uint64_t)race->seed);
    if (gain.low > 0 && gain.median > log1p(AT_TIE_MARGIN))
        return;
    race->winner = today;
    race->tied[today] = true;
}

void at_race_decide(const at_group *group, at_race *race)
{
    at_interval *of = calloc((size_t)race->count, sizeof *of);
    if (!of || !at_race_find_best(race)) {
        free(of);
        return;
    }
    for (int i = 0; i < race->count; i++) {
        bool finalist = race->variant[i] >= 0 && race->arm[i].samples == race->rounds;
        of[i] = finalist ? race->behind[i] : (at_interval){NAN, NAN, NAN};
    }
    race->best = at_tie_set(of, race->count, race->tied);
    for (int i = 0; i < race->count; i++)
        if (race->tied[i] && is_better_tie(group, race, i, race->winner))
            race->winner = i;
    require_gain(race);
    free(of);
}

static double arm_median(const at_race *race, int arm)
{
    return arm >= 0 ? at_median(race->arm[arm].samples_ns, race->arm[arm].samples) : 0;
}

void at_race_result(const at_group *group, at_task *task, const at_race *race)
{
    at_tune_result *result = &task->result;
    at_strbuf text = {0};
    at_variant_print(&group->space[race->variant[race->winner]], &text);
    snprintf(result->variant, sizeof result->variant, "%s", at_strbuf_text(&text));
    at_strbuf_clear(&text);
    result->winner_ns = arm_median(race, race->winner);
    result->default_ns = arm_median(race, race->first_default);
    result->copy_ns = at_median(race->anchor_ns, race->rounds);
    result->autovec_ns = arm_median(race, race->plain);
    const at_arm *winner = &race->arm[race->winner], *plain = &race->arm[race->first_default];
    at_interval gain = at_paired_log_ratio(plain->samples_ns, winner->samples_ns, race->rounds, (uint64_t)race->seed);
    result->gain_low = exp(gain.low);
    result->gain_high = exp(gain.high);
    if (race->null_arm >= 0) {
        at_interval null = at_paired_log_ratio(race->arm[race->null_arm].samples_ns, plain->samples_ns, race->rounds,
                                               (uint64_t)race->seed);
        if (fabs(null.median) > log1p(AT_TIE_MARGIN))
            snprintf(result->message, sizeof result->message, "noisy: the same kernel twice differed by %.1f %%",
                     100 * expm1(fabs(null.median)));
    }
}
