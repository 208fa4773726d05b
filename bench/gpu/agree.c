#include "agree.h"

#include "runtime/base/dtype.h"

#include <math.h>

/* The head and the tail of the written tensor; without overlap, the tail being empty where the head is all. */
typedef struct window {
    int64_t first, count;
} window;

static void find_windows(const gpu_race *race, window *head, window *tail)
{
    *head = (window){0, race->elements < GPU_HEAD ? race->elements : GPU_HEAD};
    int64_t rest = race->elements - head->count;
    tail->count = rest < GPU_TAIL ? rest : GPU_TAIL;
    tail->first = race->elements - tail->count;
}

static char *place(const gpu_race *race, const gpu_sets *sets, int64_t element)
{
    return (char *)sets->set[0].tensor[0] + element * at_dtype_get(race->dtype)->bytes;
}

actune_status gpu_agreement_poison(const gpu_bench *bench, const gpu_race *race, const gpu_sets *sets)
{
    window part[2];
    find_windows(race, &part[0], &part[1]);
    for (int i = 0; i < 2; i++)
        if (part[i].count > 0)
            AT_TRY(at_cuda_fill(bench->device, place(race, sets, part[i].first), 0xff,
                                (size_t)part[i].count * (size_t)at_dtype_get(race->dtype)->bytes));
    return ACTUNE_OK;
}

static double allowed(actune_dtype dtype, double value)
{
    static const double unit[] = {[ACTUNE_F32] = 0x1p-15, [ACTUNE_F64] = 0x1p-44, [ACTUNE_F16] = 0x1p-6, [ACTUNE_BF16] = 0x1p-3};
    return unit[dtype] * fmax(1, fabs(value));
}

static actune_status compare(const gpu_race *race, const window *part, const void *raw, double *expected, bool known, double *difference)
{
    for (int64_t i = 0; i < part->count; i++) {
        double got = at_dtype_load(race->dtype, raw, i);
        if (!known) {
            expected[i] = got;
            continue;
        }
        double share = fabs(got - expected[i]) / allowed(race->dtype, expected[i]);
        if (!(share <= 1)) /* a NaN too */
            return at_fail(ACTUNE_VERIFY, "it computes something else: element %lld is %g, ours is %g", (long long)(part->first + i), got,
                           expected[i]);
        *difference = fmax(*difference, share);
    }
    return ACTUNE_OK;
}

actune_status gpu_agreement_check(const gpu_bench *bench, const gpu_race *race, const gpu_sets *sets, gpu_agreement *agreement,
                                  double *difference)
{
    static double raw[GPU_HEAD]; /* the widest type there is */
    window part[2];
    double *expected = agreement->value;
    find_windows(race, &part[0], &part[1]);
    *difference = 0;
    for (int i = 0; i < 2; expected += part[i++].count) {
        if (part[i].count == 0)
            continue;
        AT_TRY(at_cuda_download(bench->device, raw, place(race, sets, part[i].first),
                                (size_t)part[i].count * (size_t)at_dtype_get(race->dtype)->bytes));
        AT_TRY(compare(race, &part[i], raw, expected, agreement->known, difference));
    }
    if (!agreement->known)
        *difference = NAN;
    agreement->known = true;
    return ACTUNE_OK;
}
