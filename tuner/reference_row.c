#include "reference_row.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>

/* Where a key may stand: NaN is INFINITY, the infinities are the ends of the finite numbers. */
typedef struct place {
    long double low, high;
    int64_t index;
} place;

static long double ordered(long double value)
{
    return isnan(value) ? (long double)INFINITY : isinf(value) ? copysignl(LDBL_MAX, value) : value;
}

static place place_of(const at_expected *key, int64_t index)
{
    if (key->indefinite || isinf(key->error))
        return (place){-LDBL_MAX, (long double)INFINITY, index};
    if (!isfinite(key->value) || key->error == 0)
        return (place){ordered(key->value), ordered(key->value), index};
    return (place){key->value - key->error, key->value + key->error, index};
}

static int compare(long double a, long double b)
{
    return (a > b) - (a < b);
}

static int by_low(const void *a, const void *b)
{
    return compare(((const place *)a)->low, ((const place *)b)->low);
}

static int by_high(const void *a, const void *b)
{
    return compare(((const place *)a)->high, ((const place *)b)->high);
}

/* Exact ones first, equal ones side by side in the order of elements. */
static int by_value(const void *a, const void *b)
{
    const place *p = a, *q = b;
    bool exact_p = p->low == p->high, exact_q = q->low == q->high;
    if (exact_p != exact_q)
        return exact_p ? -1 : 1;
    int order = compare(p->low, q->low);
    return order ? order : (p->index > q->index) - (p->index < q->index);
}

/* How many of n sorted numbers are below `limit`, or with `or_equal` up to it. */
static int64_t count_below(const long double *sorted, int64_t n, long double limit, bool or_equal)
{
    int64_t first = 0;
    while (n > 0) {
        int64_t half = n / 2;
        if (sorted[first + half] < limit || (or_equal && sorted[first + half] == limit)) {
            first += half + 1;
            n -= half + 1;
        } else {
            n = half;
        }
    }
    return first;
}

typedef struct judging {
    place *place;
    long double *low, *high;
    int64_t n, k;
} judging;

static void sort_ends(const judging *j)
{
    qsort(j->place, (size_t)j->n, sizeof *j->place, by_low);
    for (int64_t i = 0; i < j->n; i++)
        j->low[i] = j->place[i].low;
    qsort(j->place, (size_t)j->n, sizeof *j->place, by_high);
    for (int64_t i = 0; i < j->n; i++)
        j->high[i] = j->place[i].high;
    qsort(j->place, (size_t)j->n, sizeof *j->place, by_value);
}

/* The places [first, end) are exact and equal, or it is one place. */
static void judge(const judging *j, int64_t first, int64_t end, at_verdict *verdict)
{
    const place *at = &j->place[first];
    int64_t surely = j->n - count_below(j->low, j->n, at->high, true);
    int64_t maybe = j->n - count_below(j->high, j->n, at->low, false) - (end - first); /* without the equals */
    for (int64_t i = first; i < end; i++) {
        int64_t before = i - first;
        verdict[j->place[i].index] = maybe + before < j->k ? AT_KEPT : surely + before >= j->k ? AT_DROPPED : AT_UNSURE;
    }
}

actune_status at_row_judge(const at_expected *key, int64_t n, int64_t k, at_verdict *verdict)
{
    judging j = {malloc((size_t)(n + 1) * sizeof(place)), malloc((size_t)(n + 1) * sizeof(long double)), malloc((size_t)(n + 1) * sizeof(long double)), n, k};
    actune_status status = j.place && j.low && j.high ? ACTUNE_OK : at_fail(ACTUNE_NO_MEMORY, "no memory for the order of a row");
    for (int64_t i = 0; status == ACTUNE_OK && i < n; i++)
        j.place[i] = place_of(&key[i], i);
    if (status == ACTUNE_OK)
        sort_ends(&j);
    for (int64_t first = 0, end; status == ACTUNE_OK && first < n; first = end) {
        const place *at = &j.place[first];
        for (end = first + 1; end < n && at->low == at->high && j.place[end].low == at->low && j.place[end].high == at->high; end++)
            ;
        judge(&j, first, end, verdict);
    }
    free(j.place);
    free(j.low);
    free(j.high);
    return status;
}
