/* The oracle: the exact outputs of a kernel for one element, each with the error that its accuracy class allows there.
   The graph is walked in long double. Every node carries its value and how far a kernel of the class may be from it:
   - arithmetic: 1 ULP of the compute type a node, carried on through the nodes that follow (running error analysis);
   - a unary stretch with a transcendental op in it: the bound of its class (codegen/accuracy.h), as a function of x;
   - ROUND: where what stands before is one correctly rounded operation, the rounding is known and is done (a pipeline
   is judged stage by stage from the rounding that went before); otherwise the error is carried on;
   - a comparison whose sides are closer than their errors may go either way, and a select then has the distance of its
     arms as error. */
#ifndef AT_TUNER_ORACLE_H
#define AT_TUNER_ORACLE_H

#include "../codegen/kernel.h"

typedef struct at_expected {
    long double value; /* before the rounding of the store; of 8-bit types after it */
    long double error; /* the most a kernel may be off, that rounding included; infinite: anything goes */
    bool indefinite;   /* NaN though no input is NaN (an infinity times 0 ...): NaN or `value`, its limit, may come */
} at_expected;

typedef struct at_oracle at_oracle;

/* `kernel`: before approximation; kept. UNSUPPORTED for a graph with stretches. Not thread-safe: one oracle a thread.
 */
actune_status at_oracle_create(const at_kernel *kernel, at_oracle **oracle);
/* The same where some inputs (one bit each) are not known exactly: at_oracle_eval takes how far each may be off from the array that
   at_oracle_input_error gives, zeros at first. */
actune_status at_oracle_create_near(const at_kernel *kernel, uint32_t inexact_inputs, at_oracle **oracle);
double *at_oracle_input_error(at_oracle *oracle);
void at_oracle_destroy(at_oracle *oracle);
/* inputs: a value for every input view (at_signature_views); expected: one for every output view. For a sum port: its term of this
   element, and the error of the term without any store. */
void at_oracle_eval(at_oracle *oracle, const double *inputs, at_expected *expected);

/* Kernels with a row operation: its argument for one element (no store is in the error), and what the operation says about the element that is
   evaluated next. */
void at_oracle_key(at_oracle *oracle, const double *inputs, at_expected *key);
void at_oracle_keep(at_oracle *oracle, bool kept);

/* Distance of neighbouring numbers of `dtype` at |value| (that of the least normal below it). */
long double at_ulp(actune_dtype dtype, long double value);
/* Largest finite number. */
double at_dtype_max(actune_dtype dtype);

#endif
