/* Who has won a race, and what is reported of it. */
#include "session.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

static const at_code *code_of(const at_group *group, const at_race *race, int arm)
{
    return &group->codes[at_group_candidate(group, race->variant[arm])->code];
}

static bool is_better_tie(const at_group *group, const at_race *race, int arm, int than)
{
    const int *variant = race->variant;
    if (than < 0 || arm == race->incumbent || than == race->incumbent)
        return than < 0 || arm == race->incumbent;
    if (arm == race->first_default || than == race->first_default)
        return arm == race->first_default;
    const at_code *own = code_of(group, race, arm), *other = code_of(group, race, than);
    if (!own->cudnn != !other->cudnn)
        return !own->cudnn; /* ours runs for everybody */
    return own->code_bytes != other->code_bytes ? own->code_bytes < other->code_bytes : variant[arm] < variant[than];
}

at_interval at_race_log_ratio(const at_race *race, int arm, int to)
{
    const at_arm *own = &race->arm[arm], *other = &race->arm[to];
    int pairs = own->samples < other->samples ? own->samples : other->samples;
    return at_paired_log_ratio(own->samples_ns, other->samples_ns, pairs, (uint64_t)race->seed);
}

/* Slower pair by pair, and by more than a tie. */
static bool is_surely_slower(const at_race *race, int arm, int than)
{
    at_interval loss = at_race_log_ratio(race, arm, than);
    return loss.low > 0 && loss.median > log1p(AT_TIE_MARGIN);
}

/* What runs today (the incumbent, else the default) is replaced by what is surely faster only: the winner, else the best itself. */
static void require_gain(at_race *race)
{
    int today = race->incumbent >= 0 ? race->incumbent : race->first_default;
    if (race->winner < 0 || today < 0 || race->winner == today || is_surely_slower(race, today, race->winner))
        return;
    race->winner = is_surely_slower(race, today, race->best) ? race->best : today;
    race->tied[race->winner] = true;
}

/* An interval that reaches the best keeps today's kernel; among the others it takes a median that is as good. */
static bool may_win(const at_race *race, int arm)
{
    bool today = arm == race->incumbent || arm == race->first_default;
    return race->tied[arm] && (today || race->behind[arm].median <= log1p(AT_TIE_MARGIN));
}

void at_race_decide(const at_group *group, at_race *race)
{
    at_interval *of = calloc((size_t)race->count, sizeof *of);
    if (!of || !at_race_find_best(race)) {
        free(of);
        return;
    }
    int whole = race->rounds < AT_RACE_ROUNDS ? race->rounds : AT_RACE_ROUNDS;
    for (int i = 0; i < race->count; i++) {
        bool finalist = race->variant[i] >= 0 && race->arm[i].samples >= whole;
        of[i] = finalist ? race->behind[i] : (at_interval){NAN, NAN, NAN};
    }
    /* The best stays the one that the race ended for: what runs today was asked to lose to that one. */
    at_tie_set(of, race->count, race->best, race->tied);
    for (int i = 0; i < race->count; i++)
        if (may_win(race, i) && is_better_tie(group, race, i, race->winner))
            race->winner = i;
    require_gain(race);
    free(of);
}

/* Surely faster than the default, in the rounds that both were in: far behind a fast library, ours leave the race early. */
int at_race_best_ours(const at_group *group, const at_race *race)
{
    int best = race->first_default;
    double least = -log1p(AT_TIE_MARGIN);
    for (int i = 0; i < race->count; i++) {
        if (race->variant[i] < 0 || race->arm[i].samples == 0 || i == race->first_default || code_of(group, race, i)->cudnn)
            continue;
        at_interval gain = at_race_log_ratio(race, i, race->first_default);
        if (gain.high < 0 && gain.median < least) {
            best = i;
            least = gain.median;
        }
    }
    return best;
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
    result->autovec_ns = arm_median(race, race->plain);
    at_interval gain = at_race_log_ratio(race, race->first_default, race->winner);
    /* By pairs, as the database keeps them: another call of the command shows the same. */
    result->default_ns = result->winner_ns * exp(gain.median);
    result->copy_ns = result->winner_ns / exp(race->log_ratio[race->winner].median);
    result->gain_low = exp(gain.low);
    result->gain_high = exp(gain.high);
    if (race->null_arm >= 0) {
        at_interval null = at_race_log_ratio(race, race->null_arm, race->first_default);
        if (fabs(null.median) > log1p(AT_TIE_MARGIN))
            snprintf(result->message, sizeof result->message, "noisy: the same kernel twice differed by %.1f %%",
                     100 * expm1(fabs(null.median)));
    }
}
