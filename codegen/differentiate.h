/* Private to pass_differentiate: gradients as products whose zeros are kept apart.

   A term is  scale * other * factor,  and 0 unless every mask holds. `factor` is a product of bounded functions that
   vanish at infinity (sigmoid', exp(-u*u)): where it is exactly 0 the term is 0 even if `other` is infinite or NaN. The
   test for that, and the masks (which arm of a select was taken), are applied last, after all multiplications: an
   untaken arm whose derivative is infinite then poisons nothing. */
#ifndef AT_CODEGEN_DIFFERENTIATE_H
#define AT_CODEGEN_DIFFERENTIATE_H

#include "range.h"
#include "rewrite.h"

enum { AT_TERM_MASKS_MAX = 8, AT_TERM_ZEROS_MAX = 2 };

typedef struct at_mask {
    at_node_id condition;
    bool when;
} at_mask;

typedef struct at_term {
    double scale;
    at_node_id other, factor; /* AT_NO_NODE: 1 */
    uint64_t wild;            /* inputs that can make `other` infinite or NaN */
    struct {
        at_node_id node; /* an unbounded part of `other` that vanishes (exp) */
        uint64_t wild;   /* of the rest of `other` */
    } zero[AT_TERM_ZEROS_MAX];
    int zeros;
    at_mask mask[AT_TERM_MASKS_MAX];
    int masks;
} at_term;

/* Terms to be added. */
typedef struct at_terms {
    at_term *term;
    int32_t count, capacity;
} at_terms;

/* The graph under construction and what is known of its nodes. */
typedef struct at_derivation {
    at_rewriter rewriter;
    at_range *range; /* of the first `ranged` nodes */
    int32_t ranged, capacity;
} at_derivation;

at_node_id at_derive_1(at_derivation *d, at_op op, at_node_id a);
at_node_id at_derive_2(at_derivation *d, at_op op, at_node_id a, at_node_id b);
at_node_id at_derive_3(at_derivation *d, at_op op, at_node_id a, at_node_id b, at_node_id c);
at_node_id at_derive_constant(at_derivation *d, double value);
/* A failed node (AT_NO_NODE) is a constant of unknown value. */
at_range at_derive_range(at_derivation *d, at_node_id id);

/* differentiate_term.c */
void at_terms_clear(at_terms *terms);
void at_terms_add(at_derivation *d, at_terms *terms, at_term term);
at_term at_term_of(at_derivation *d, at_node_id node);
/* term *= scale * factor (AT_NO_NODE: 1). */
void at_term_multiply(at_derivation *d, at_term *term, double scale, at_node_id factor);
/* term *= other, masks included. */
void at_term_times(at_derivation *d, at_term *term, const at_term *other);
/* The term is 0 unless condition == when. */
void at_term_mask(at_derivation *d, at_term *term, at_node_id condition, bool when);
/* A term's value without its masks. */
at_node_id at_term_value(at_derivation *d, const at_term *term);
/* The sum as one term, under the masks that all terms have in common. */
at_term at_terms_join(at_derivation *d, const at_terms *terms);
/* The same as few terms as there are arms of selects to tell apart. */
void at_terms_reduce(at_derivation *d, const at_terms *terms, at_terms *reduced);

/* differentiate_ops.c: adds to sink(user, argument, term) what node `id`, whose adjoint is `term`, sends to its
 * arguments. */
typedef void at_term_sink(void *user, at_node_id argument, at_term term);
actune_status at_derive_op(at_derivation *d, at_node_id id, const at_term *term, at_term_sink *sink, void *user);

#endif
