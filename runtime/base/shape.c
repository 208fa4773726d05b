#include "shape.h"

#include "status.h"

/* Far beyond any memory, and small enough that counts of bytes and of partials fit an int64_t. */
static const int64_t elements_max = INT64_C(1) << 56;

/* Rows of halves from which on sums are made plane by plane; shorter ones leave most of a chunk empty. */
enum { LONG_ROW = 1024 };

actune_status at_shape_check(actune_shape shape)
{
    const int64_t extent[] = {shape.outer, shape.channels, shape.inner};
    int64_t product = 1;
    for (int i = 0; i < 3; i++) {
        if (extent[i] < 0)
            return at_fail(ACTUNE_INVALID_ARGUMENT, "the shape [%lld, %lld, %lld] has a negative extent",
                           (long long)shape.outer, (long long)shape.channels, (long long)shape.inner);
        if (extent[i] > 1 && __builtin_mul_overflow(product, extent[i], &product))
            product = INT64_MAX;
    }
    if (product > elements_max)
        return at_fail(ACTUNE_INVALID_ARGUMENT, "the shape [%lld, %lld, %lld] has more elements than 2^56",
                       (long long)shape.outer, (long long)shape.channels, (long long)shape.inner);
    return ACTUNE_OK;
}

/* Without per-channel operands a row is a plane of its own. */
static actune_status halve(const at_signature *signature, actune_shape x, actune_shape *shape)
{
    const bool splits_channels = signature->has_channel && x.channels != 1;
    const int64_t row = splits_channels ? x.channels : x.channels * x.inner;
    if (row % 2 != 0)
        return at_fail(ACTUNE_INVALID_ARGUMENT, "halves: %s of x [%lld, %lld, %lld] %s %lld, an odd number that has no two halves",
                       splits_channels ? "the channels" : "the rows", (long long)x.outer, (long long)x.channels, (long long)x.inner,
                       splits_channels ? "are" : "have a length of", (long long)row);
    if (splits_channels)
        shape->channels = x.channels / 2;
    else if (signature->slots > 0 && row / 2 < LONG_ROW)
        *shape = (actune_shape){x.outer, row / 2, 1, false};
    else
        *shape = (actune_shape){x.outer, 1, row / 2, false};
    return ACTUNE_OK;
}

actune_status at_shape_of(const at_signature *signature, actune_shape x, actune_shape *shape)
{
    AT_TRY(at_shape_check(x));
    if (x.channels_last && (!signature->has_plane || x.inner == 1 || x.channels == 1)) {
        x.channels_last = false;
        if (!signature->has_plane) {
            x.outer *= x.inner;
            x.inner = 1;
        }
    }
    *shape = x;
    return signature->halves ? halve(signature, x, shape) : ACTUNE_OK;
}
