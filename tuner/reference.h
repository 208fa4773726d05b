/* Reference cases of one kernel in one layout: shapes, inputs, exact outputs and the error allowed for each. Made once,
   compared with the outputs of every variant (verify.c). */
#ifndef AT_TUNER_REFERENCE_H
#define AT_TUNER_REFERENCE_H

#include "oracle.h"

typedef enum at_values {
    AT_VALUES_SPECIAL, /* +-0, infinities, NaN, denormals, the graph's own constants and their neighbours, huge, random
                          bits */
    AT_VALUES_NORMAL,  /* normal with sigma 2: what sums are compared on */
    AT_VALUES_EXHAUSTIVE /* x: all 65,536 numbers of a 16-bit type; forward */
} at_values;

typedef struct at_case {
    actune_shape shape;
    at_values values;
    int64_t elements;
    void *input[AT_PORTS_MAX];                              /* by input port */
    double *input_error[AT_PORTS_MAX];                      /* how far a kernel's input may be off; NULL: it is this one */
    double *want[AT_OUTPUTS_MAX], *allowed[AT_OUTPUTS_MAX]; /* by output port */
    bool *indefinite[AT_OUTPUTS_MAX];                       /* not for sums */
} at_case;

typedef struct at_reference {
    const at_kernel *kernel;
    at_kernel forward; /* of the same spec, where the kernel reads y: it is given values that y can have */
    at_layout layout;
    at_arena arena;
    at_case *cases;
    int count;
} at_reference;

/* `kernel` is kept. Deterministic for a seed. NO_MEMORY, UNSUPPORTED. Clear with at_reference_clear, also after a
 * failure. */
actune_status at_reference_init(at_reference *reference, const at_kernel *kernel, at_layout layout, int64_t seed);
/* One case: the `count` numbers of x's type that have the bit patterns from `first` on, dy 1 where there is one; for kernels without
   operands. `kernel` and nothing of `oracle` is kept. NO_MEMORY. Clear it in any case. */
actune_status at_reference_bits(at_reference *reference, const at_kernel *kernel, at_oracle *oracle, uint64_t first, int64_t count);
/* Which half of x goes down the pipeline, 1 or 2; 0 where there are no halves. */
int at_reference_gate(const at_kernel *kernel);
/* Where a view (at_signature_views) has its part of an element of y, counted in the order of y's memory. */
int64_t at_reference_index(const at_port *view, at_layout layout, actune_shape shape, int64_t element);
void at_reference_clear(at_reference *reference);

#endif
