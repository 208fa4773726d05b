/* A kernel: a spec in one direction with its types, lowered to one graph and its list of ports. It is what is tuned, stored,
   generated and looked up; its identity is a hash of all that decides its results. */
#ifndef AT_CODEGEN_KERNEL_H
#define AT_CODEGEN_KERNEL_H

#include "../runtime/base/hash.h"
#include "../runtime/base/signature.h"
#include "spec.h"

enum { AT_STRETCHES_MAX = 16 };

typedef struct at_fit at_fit; /* fit.h */

/* A unary stretch of the graph that is computed as a whole (pass_approximate). */
typedef struct at_stretch {
    at_graph graph;    /* one INPUT (index 0), one output; in `wide` computed in f64, otherwise by `fit` */
    const at_fit *fit; /* NULL: wide */
} at_stretch;

enum { AT_PASSES_MAX = 9, AT_PASS_VALUES_MAX = 12 };

/* Where a port of a pass lies: it is a port of the whole kernel, or a plane of a value that passes hand on. */
typedef struct at_wire {
    int port;         /* of the whole; -1: */
    int value, plane;
} at_wire;

/* Handed on: planes * channels (or planes * 1) numbers of the compute type, in memory that belongs to the execution. */
typedef struct at_pass_value {
    at_access access;
    int planes;
} at_pass_value;

typedef struct at_pass {
    struct at_kernel *kernel;   /* a kernel like any other, of no passes itself */
    at_wire wire[AT_PORTS_MAX]; /* of each of its ports */
} at_pass;

/* Most kernels go over their tensors once and are their own only pass (`passes` is 0). Where a stage needs what all elements together tell
   (standardize), a kernel is a sequence of passes, each with a graph of its own: it then has the ports of the whole pipeline, and no graph. */
typedef struct at_kernel {
    at_arena arena;
    const char *spec; /* canonical text */
    at_signature signature;
    at_accuracy accuracy;
    at_graph graph;             /* simplified, stabilised; outputs in port order */
    at_stretch stretch[AT_STRETCHES_MAX];
    int stretches;
    bool transcendental;
    at_hash hash;               /* of direction, dtypes, accuracy, ports and graph before approximation */
    at_pass *pass;              /* in the order in which they run */
    int passes;
    at_pass_value value[AT_PASS_VALUES_MAX]; /* what passes hand on to later ones */
    int values;
} at_kernel;

typedef struct at_kernel_request {
    actune_direction direction;
    actune_dtype dtype_in, dtype_out;
    const char *const *gradients; /* backward: operand names */
    int gradient_count;
} at_kernel_request;

/* lower.c: spec -> kernel: stages to one graph, backward derived through the whole pipeline, folded, stabilised, common
   subexpressions once. Forward ports: x, operands..., y. Backward: x, dy, operands (those that are needed)..., dx, gradients in
   pipeline order. Element operands (add, mul) have dtype_in, channel and scalar ones the compute type; dy has dtype_out, dx
   dtype_in; gradients of element operands dtype_in, others the compute type. Where dtype_in or dtype_out has 8 bits, gradients and element
   operands have the type of the other end, or f32. A dtype_out that is not what a last quantize gives is INVALID_ARGUMENT. INVALID_ARGUMENT for an unknown gradient name.
   A spec with pass=N gives that pass as a kernel; INVALID_ARGUMENT where there is none. Clear with at_kernel_clear. */
actune_status at_kernel_lower(const at_spec *spec, const at_kernel_request *request, at_kernel *kernel);
void at_kernel_clear(at_kernel *kernel);

/* pass_approximate.c: replaces the unary stretches that hold transcendental ops by STRETCH nodes computed by `form`
   ("wide", "fit16", "fit32" ...; "poly" and its like leave the graph as it is, for emit to call vector math). UNSUPPORTED when the form cannot
   reach the kernel's accuracy class for some stretch: such a variant is not a candidate. Fits are cached per process. */
actune_status at_pass_approximate(at_kernel *kernel, const char *form);

#endif
