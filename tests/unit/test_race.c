/* How long a race goes on and who wins it, on planted samples: no clock, no machine. */
#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

#include "tuner/candidates_cudnn.h"

enum { ARMS = 3, ALL = AT_ANCHORS + ARMS, DEFAULT = AT_ANCHORS, FAST = AT_ANCHORS + 1, SMALL = AT_ANCHORS + 2 };

/* Three candidates and the anchor; a round's times come from `time_of`. */
typedef struct planted {
    at_race race;
    at_arm arm[ALL];
    int variant[ALL];
    at_interval log_ratio[ALL], behind[ALL];
    bool tied[ALL];
    double anchor_ns[AT_SAMPLES_MAX], samples_ns[ALL][AT_SAMPLES_MAX];
    at_candidate candidate[ARMS];
    at_code code[ARMS];
    at_group group;
} planted;

static int theirs; /* the candidate that is cuDNN's; 0: none */

static void plant(planted *own)
{
    static struct at_cudnn_code cudnn;
    memset(own, 0, sizeof *own);
    own->race = (at_race){.arm = own->arm,
                          .variant = own->variant,
                          .log_ratio = own->log_ratio,
                          .behind = own->behind,
                          .tied = own->tied,
                          .anchor_ns = own->anchor_ns,
                          .count = ALL,
                          .plain = -1,
                          .null_arm = -1,
                          .first_default = DEFAULT,
                          .incumbent = -1,
                          .best = -1,
                          .winner = -1,
                          .copies_from = AT_ANCHORS,
                          .seed = 1};
    for (int i = 0; i < ALL; i++) {
        own->arm[i] = (at_arm){.active = true, .samples_ns = own->samples_ns[i]};
        own->variant[i] = i < AT_ANCHORS ? -1 : i - AT_ANCHORS;
    }
    for (int i = 0; i < ARMS; i++) {
        own->candidate[i] = (at_candidate){.variant = i, .code = i, .threads = 1};
        own->code[i] = (at_code){.twin = -1, .code_bytes = 300};
    }
    own->code[SMALL - AT_ANCHORS].code_bytes = 100;
    if (theirs) {
        own->code[theirs].cudnn = &cudnn;
        own->code[theirs].code_bytes = 0;
    }
    own->group = (at_group){.candidates = own->candidate, .candidate_count = ARMS, .codes = own->code, .code_count = ARMS};
}

/* Plants a race and runs rounds until it is over; arms that are out get no sample. */
static void run(planted *own, double (*time_of)(int arm, int round))
{
    at_race *race = &own->race;
    plant(own);
    while (!at_race_is_over(race, INFINITY)) {
        cr_assert_lt(race->rounds, AT_SAMPLES_MAX, "a race without an end");
        for (int i = 0; i < ALL; i++)
            if (own->arm[i].active)
                own->samples_ns[i][own->arm[i].samples++] = time_of(i, race->rounds);
        race->rounds++;
    }
    at_race_decide(&own->group, race);
}

/* Uniform in [0, 1), of its own for each arm and round. */
static double noise(int arm, int round)
{
    at_random random = {(uint64_t)(1000 * arm + round)};
    return at_random_uniform(&random);
}

/* The best copy stands far ahead, so that nobody is at the roof. */
static double anchor(int arm)
{
    return arm < AT_ANCHORS ? 50 : 0;
}

/* The default is 10 % slower, but for two fifths of the usual rounds 10 % faster, as on a clock that jumps. */
static double contested(int arm, int round)
{
    if (anchor(arm) > 0)
        return anchor(arm);
    if (arm == DEFAULT)
        return round < AT_RACE_ROUNDS && round % 5 < 2 ? 90 : 110;
    return (arm == FAST ? 100 : 200) * (1 + 0.001 * noise(arm, round));
}

Test(race, todays_kernel_is_timed_on_until_it_has_lost)
{
    planted own;
    run(&own, contested);
    cr_assert_gt(own.race.rounds, AT_RACE_ROUNDS);
    cr_assert_eq(own.race.winner, FAST);
    cr_assert_lt(own.arm[SMALL].samples, AT_RACE_ROUNDS);
}

/* As fast as each other but for the noise: no more rounds than usual, and what runs today stays. */
static double equal(int arm, int round)
{
    return anchor(arm) > 0 ? anchor(arm) : 100 * (1 + 0.01 * noise(arm, round));
}

Test(race, equals_end_soon_and_change_nothing)
{
    planted own;
    run(&own, equal);
    cr_assert_leq(own.race.rounds, AT_RACE_ROUNDS);
    cr_assert_eq(own.race.winner, DEFAULT);
}

/* The small one's interval reaches the best's in noise, but its median is 10 % behind. */
static double noisy_small(int arm, int round)
{
    if (anchor(arm) > 0)
        return anchor(arm);
    if (arm == SMALL)
        return round % 5 < 2 ? 90 : 110;
    return (arm == DEFAULT ? 150 : 100) * (1 + 0.001 * noise(arm, round));
}

Test(race, less_code_does_not_win_with_a_worse_median)
{
    planted own;
    run(&own, noisy_small);
    cr_assert(own.race.tied[SMALL]);
    cr_assert_eq(own.race.winner, FAST);
}

/* Within the margin less code wins. */
static double close_small(int arm, int round)
{
    double time = arm == DEFAULT ? 150 : arm == SMALL ? 101 : 100;
    return anchor(arm) > 0 ? anchor(arm) : time * (1 + 0.001 * noise(arm, round));
}

Test(race, less_code_wins_a_tie)
{
    planted own;
    run(&own, close_small);
    cr_assert_eq(own.race.winner, SMALL);
}

/* A little more than half of the rounds say that the default is 10 % slower, the others that it is faster: no number of rounds tells. */
static double hidden(int arm, int round)
{
    if (anchor(arm) > 0)
        return anchor(arm);
    if (arm == DEFAULT)
        return round % 2 == 0 || round % 20 == 1 ? 110 : 90;
    return (arm == FAST ? 100 : 200) * (1 + 0.001 * noise(arm, round));
}

Test(race, a_duel_has_an_end_and_todays_kernel_stays)
{
    planted own;
    run(&own, hidden);
    cr_assert_gt(own.race.rounds, 2 * AT_RACE_ROUNDS);
    cr_assert_eq(own.race.winner, DEFAULT);
}

/* At the roof after few rounds. FAST is the best beside the anchor and beats the default in each round. SMALL is ahead of it in three of
   five rounds and far behind in two, so that nothing is sure of SMALL and the default. */
static double at_roof(int arm, int round)
{
    static const double fast[] = {100, 90, 95, 90, 100}, small[] = {99, 130, 94, 130, 99};
    if (arm < AT_ANCHORS)
        return 100;
    return arm == FAST ? fast[round % 5] : arm == SMALL ? small[round % 5] : 1.08 * fast[round % 5];
}

Test(race, at_the_roof_a_default_that_lost_to_the_best_loses)
{
    planted own;
    run(&own, at_roof);
    cr_assert_lt(own.race.rounds, AT_RACE_ROUNDS_MIN, "the roof was meant to end this race");
    cr_assert_eq(own.race.winner, FAST, "arm %d won", own.race.winner);
}

/* cuDNN's function is as good as the best of ours. */
Test(race, ours_wins_a_tie_with_cudnn)
{
    planted own;
    theirs = FAST - AT_ANCHORS;
    run(&own, close_small);
    cr_assert_eq(own.race.winner, SMALL);
    theirs = SMALL - AT_ANCHORS;
    run(&own, close_small);
    cr_assert_eq(own.race.winner, FAST);
}

/* cuDNN's is twice as fast as the best of ours, which is out of the race early. */
static double far_ahead(int arm, int round)
{
    double time = arm == DEFAULT ? 150 : arm == SMALL ? 100 : 50;
    return (anchor(arm) > 0 ? anchor(arm) / 2 : time) * (1 + 0.001 * noise(arm, round));
}

/* Neither of ours is better than the other. */
static double far_ahead_of_equals(int arm, int round)
{
    return (anchor(arm) > 0 ? anchor(arm) / 2 : arm == FAST ? 50 : 100) * (1 + 0.01 * noise(arm, round));
}

Test(race, the_best_of_ours_behind_cudnn)
{
    planted own;
    theirs = FAST - AT_ANCHORS;
    run(&own, far_ahead);
    cr_assert_eq(own.race.winner, FAST);
    cr_assert_lt(own.arm[SMALL].samples, own.arm[DEFAULT].samples);
    cr_assert_eq(at_race_best_ours(&own.group, &own.race), SMALL);
    run(&own, far_ahead_of_equals);
    cr_assert_eq(own.race.winner, FAST);
    cr_assert_eq(at_race_best_ours(&own.group, &own.race), DEFAULT);
}
