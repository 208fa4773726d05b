/* The records that kernels with the stage `stats` leave, as statistics. */
#include "statistics.h"

#include <math.h>

/* A sum of whole numbers: never negative, never fractional. */
static bool is_count(double value)
{
    return value >= 0 && value < 0x1p53 && value == floor(value);
}

static actune_status check(const double *records, int64_t channels)
{
    for (int64_t c = 0; c < channels; c++)
        for (int f = ACTUNE_STATISTICS_COUNT; f <= ACTUNE_STATISTICS_INF; f++)
            if (!is_count(records[c * ACTUNE_STATISTICS_FIELDS + f]))
                return at_fail(ACTUNE_INVALID_ARGUMENT, "statistics: field %d of record %lld is %g, which is no count: it is not what a kernel with the stage stats leaves", f,
                               (long long)c, records[c * ACTUNE_STATISTICS_FIELDS + f]);
    return ACTUNE_OK;
}

static actune_statistics of_record(const double *field)
{
    actune_statistics s = {.count = (int64_t)field[ACTUNE_STATISTICS_COUNT],
                           .nonpositive = (int64_t)field[ACTUNE_STATISTICS_NONPOSITIVE],
                           .zero = (int64_t)field[ACTUNE_STATISTICS_ZERO],
                           .clipped = (int64_t)field[ACTUNE_STATISTICS_CLIPPED],
                           .nan = (int64_t)field[ACTUNE_STATISTICS_NAN],
                           .inf = (int64_t)field[ACTUNE_STATISTICS_INF],
                           .absmax = field[ACTUNE_STATISTICS_ABSMAX]};
    double finite = (double)(s.count - s.nan - s.inf);
    if (finite <= 0)
        return s;
    s.mean = field[ACTUNE_STATISTICS_SUM] / finite;
    double squares = field[ACTUNE_STATISTICS_SQUARES] / finite;
    s.variance = isinf(squares) ? squares : fma(-s.mean, s.mean, squares);
    if (s.variance < 0)
        s.variance = 0;
    return s;
}

static void add_record(double *to, const double *record)
{
    for (int f = 0; f < ACTUNE_STATISTICS_ABSMAX; f++)
        to[f] += record[f];
    to[ACTUNE_STATISTICS_ABSMAX] = fmax(to[ACTUNE_STATISTICS_ABSMAX], record[ACTUNE_STATISTICS_ABSMAX]);
}

actune_status actune_statistics_from_records(const double *records, int64_t channels, actune_statistics *per_channel, actune_statistics *statistics)
{
    if (!records || !statistics)
        return at_fail(ACTUNE_INVALID_ARGUMENT, "statistics: the records or the result are NULL");
    if (channels < 1)
        return at_fail(ACTUNE_INVALID_ARGUMENT, "statistics: %lld channels; there is at least one record", (long long)channels);
    AT_TRY(check(records, channels));
    double all[ACTUNE_STATISTICS_FIELDS] = {0};
    for (int64_t c = 0; c < channels; c++) {
        const double *record = records + c * ACTUNE_STATISTICS_FIELDS;
        if (per_channel)
            per_channel[c] = of_record(record);
        add_record(all, record);
    }
    *statistics = of_record(all);
    statistics->channels = per_channel;
    statistics->channel_count = per_channel ? channels : 0;
    return ACTUNE_OK;
}
