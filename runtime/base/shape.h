/* From the shape that a caller gives, that of x, to the one in which a kernel goes through its output. */
#ifndef AT_BASE_SHAPE_H
#define AT_BASE_SHAPE_H

#include "signature.h"

/* INVALID_ARGUMENT for a negative extent and more than 2^56 elements (empty extents counted as 1). */
actune_status at_shape_check(actune_shape shape);
/* The shape of y where x has shape `x`: half of x for `halves`, which otherwise only x's own axes decide about. channels_last stays where
   PLANE ports tell images apart; elsewhere its positions become rows. INVALID_ARGUMENT: at_shape_check, and an axis that has no two halves. */
actune_status at_shape_of(const at_signature *signature, actune_shape x, actune_shape *shape);

#endif
