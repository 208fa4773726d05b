/* How long a race goes on: what its rounds say so far, and who is still timed. */
#include "session.h"

#include <math.h>

enum { ROOF_RIVALS = 3, DUEL_ROUNDS_MAX = 191 };

/* In each of three rounds slower than the best by more than this: out. */
#define FAR_BEHIND 1.15
#define ROOF 0.98
#define PLAIN_SLOW 3.0

bool at_race_is_fixed(const at_race *race, int arm)
{
    return race->variant[arm] < 0 || arm == race->first_default || arm == race->incumbent;
}

void at_race_estimate(at_race *race)
{
    for (int round = 0; round < race->rounds; round++) {
        double copies[AT_ANCHORS];
        for (int i = 0; i < AT_ANCHORS; i++)
            copies[i] = race->arm[i].samples_ns[round];
        race->anchor_ns[round] = at_median(copies, AT_ANCHORS);
    }
    for (int i = 0; i < race->count; i++) {
        const at_arm *arm = &race->arm[i];
        race->log_ratio[i] =
            at_paired_log_ratio(arm->samples_ns, race->anchor_ns, arm->samples, (uint64_t)race->seed + (uint64_t)i);
    }
}

int at_race_best_candidate(const at_race *race)
{
    int best = -1;
    for (int i = 0; i < race->count; i++)
        if (race->variant[i] >= 0 && race->arm[i].active &&
            (best < 0 || race->log_ratio[i].median < race->log_ratio[best].median))
            best = i;
    return best;
}

bool at_race_find_best(at_race *race)
{
    race->best = at_race_best_candidate(race);
    if (race->best < 0)
        return false;
    for (int i = 0; i < race->count; i++)
        race->behind[i] =
            race->variant[i] < 0 ? (at_interval){NAN, NAN, NAN} : at_race_log_ratio(race, i, race->best);
    return true;
}

static bool is_surely_behind(const at_interval *behind)
{
    return behind->low > 0 && behind->median > log1p(AT_TIE_MARGIN);
}

/* Takes out the candidates that have lost; returns how many besides the best are still in. */
static int drop_losers(at_race *race)
{
    if (!at_race_find_best(race))
        return 0;
    int left = 0;
    for (int i = 0; i < race->count; i++) {
        if (race->variant[i] < 0 || !race->arm[i].active || i == race->best)
            continue;
        bool lost = race->behind[i].low > log(FAR_BEHIND) || (race->rounds >= 5 && is_surely_behind(&race->behind[i]));
        if (lost && !at_race_is_fixed(race, i))
            race->arm[i].active = false;
        left += !lost;
    }
    return left;
}

static double best_copy(const at_race *race)
{
    double best = 0; /* memcpy is the anchor */
    for (int i = race->copies_from; i < race->copies_from + race->copies; i++)
        best = fmin(best, race->log_ratio[i].median);
    return best;
}

/* Share of the best copy's speed that the candidate reaches, in percent. */
double at_race_roof_share(const at_race *race, int arm)
{
    return 100 * exp(best_copy(race) - race->log_ratio[arm].median);
}

/* Every candidate still in is within the tie margin of the best, and the intervals are no wider than it. */
static bool is_settled(const at_race *race)
{
    for (int i = 0; i < race->count; i++) {
        const at_interval *own = &race->behind[i];
        if (race->variant[i] < 0 || !race->arm[i].active || is_surely_behind(own))
            continue;
        if (own->median > log1p(AT_TIE_MARGIN) || own->high - own->low > 2 * AT_TIE_MARGIN)
            return false;
    }
    return true;
}

/* The plain loop stands in a table only: a slow one is not waited for in every round. */
static void release_plain(at_race *race)
{
    bool slow = race->plain >= 0 && race->best >= 0 &&
                race->log_ratio[race->plain].median > race->log_ratio[race->best].median + log(PLAIN_SLOW);
    if (race->plain >= 0 && (slow || race->rounds >= AT_RACE_ROUNDS_MIN))
        race->arm[race->plain].active = false;
}

/* Nothing faster is left to find. What runs today (the incumbent, else the default) wins ties, so it must have lost for certain
   or stand at the roof as well: few rounds have wide intervals, and a slower kernel must not stay for that. */
static bool is_at_roof(const at_race *race)
{
    int today = race->incumbent >= 0 ? race->incumbent : race->first_default;
    double needed = best_copy(race) - log(ROOF);
    if (race->log_ratio[race->best].high > needed)
        return false;
    return today < 0 || race->log_ratio[today].high <= needed || is_surely_behind(&race->behind[today]);
}

/* What runs today is in, and looks slower than the best by more than a tie, but not surely. */
static bool is_today_contested(const at_race *race)
{
    int today = race->incumbent >= 0 ? race->incumbent : race->first_default;
    return today >= 0 && today != race->best && race->arm[today].active &&
           race->behind[today].median > log1p(AT_TIE_MARGIN) && !is_surely_behind(&race->behind[today]);
}

/* The best, what runs today, and the anchor alone: a round is short then, so that both of a pair stand on the same level of a
   clock that changes every few milliseconds, and many rounds cost little. The others keep the samples they have. */
static void start_duel(at_race *race)
{
    for (int i = 0; i < race->count; i++) {
        bool copy = i >= race->copies_from && i < race->copies_from + race->copies;
        bool beaten = race->variant[i] >= 0 && i != race->best && !at_race_is_fixed(race, i);
        if (copy || beaten)
            race->arm[i].active = false;
    }
}

/* Out of rounds, unless what runs today would win for want of them. */
static bool is_out_of_rounds(at_race *race)
{
    if (race->rounds < AT_RACE_ROUNDS)
        return false;
    if (!is_today_contested(race) || race->rounds >= DUEL_ROUNDS_MAX)
        return true;
    start_duel(race);
    return false;
}

/* Decided, at the roof, or out of time. */
bool at_race_is_over(at_race *race, double until_ns)
{
    if (race->rounds < 3)
        return false;
    at_race_estimate(race);
    int rivals = drop_losers(race);
    release_plain(race);
    if (race->best < 0 || at_now_ns() > until_ns || is_out_of_rounds(race))
        return true;
    return (race->rounds >= 5 && is_at_roof(race) && rivals <= ROOF_RIVALS) ||
           (race->rounds >= AT_RACE_ROUNDS_MIN && (rivals == 0 || is_settled(race)));
}
