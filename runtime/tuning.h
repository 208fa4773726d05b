/* Tuning modes: what a context does for a plan of whose size the database has no winner. */
#ifndef AT_RUNTIME_TUNING_H
#define AT_RUNTIME_TUNING_H

#include "plan.h"

/* After a plan was made: writes it down (record), or tunes it and puts the plan with the winner in its place (tune); tells the log. That
   something cannot be written or tuned is a note of the plan, which works as it is. NO_MEMORY. */
actune_status at_plan_learn(const actune_plan_desc *desc, actune_plan **plan);

/* One kernel of a plan, to be tuned. */
typedef struct at_tune_wish {
    const at_kernel *kernel;
    actune_shape shape;
    bool in_place;
} at_tune_wish;

/* Measures and stores, as `actune tune` does. The tuner implements it (tuner/wish.c): the runtime knows its name alone. */
actune_status at_tune_wishes(actune_context *context, const at_tune_wish *wishes, int count, int threads);

#endif
