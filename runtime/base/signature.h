/* The signature of a kernel: all that launching it needs to know, without the graph it was made from. */
#ifndef AT_BASE_SIGNATURE_H
#define AT_BASE_SIGNATURE_H

#include <actune/actune.h>

typedef enum at_access {
    AT_ACCESS_ELEMENT, /* shape of x: outer * channels * inner */
    AT_ACCESS_CHANNEL, /* one value per channel */
    AT_ACCESS_SCALAR,  /* one value */
    AT_ACCESS_RANDOM   /* input: two 64-bit words, seed and offset; the graph sees a random number in [0, 1) an element (base/random.h) */
} at_access;

enum {
    AT_PORTS_MAX = 24,
    AT_MOMENTS_SLOTS = 2 /* sum, and sum of squared distances from the mean */
};

typedef struct at_port {
    const char *name; /* "x", "bias", "bias2", "alpha", "y", "dy", "dx", "dbias" ... */
    at_access access;
    actune_dtype dtype;
    bool is_output;
    bool is_sum;      /* output: the sum of its node over the elements that its access leaves out (parameter gradients) */
    bool is_moments;  /* a sum that leaves the moments (at_moment) of its node, each in a plane of its own, in place of the one value */
} at_port;

/* What moments are: for each channel (or the one tensor) these values of the compute type. */
typedef enum at_moment {
    AT_MOMENTS_MEAN,     /* rounded to the type */
    AT_MOMENTS_MEAN_LOW, /* what the rounding left out, so that x - mean - mean_low is right where the mean is large */
    AT_MOMENTS_RSTD,     /* 1 / sqrt(variance + eps), the variance that of the whole population (divided by n) */
    AT_MOMENTS_WEIGHT,   /* 1 / n */
    AT_MOMENTS_COUNT
} at_moment;

typedef struct at_signature {
    at_port port[AT_PORTS_MAX]; /* inputs in pipeline order (x, [dy], operands), then outputs (y | dx, gradients) */
    int ports, inputs;          /* input i is the graph's INPUT i; output port inputs + k is the graph's output k */
    actune_direction direction;
    actune_dtype dtype_in, dtype_out, compute;
    bool has_channel;           /* any CHANNEL port */
    int sums;                   /* is_sum ports */
    int slots;                  /* partial results that a chunk leaves of a channel: one a sum, AT_MOMENTS_SLOTS of moments */
    double eps;                 /* of moments */
} at_signature;

/* Whether the kernel makes moments: then they are its one output. */
bool at_signature_is_moments(const at_signature *signature);

typedef enum at_layout {
    AT_LAYOUT_FLAT,          /* no per-channel port, or channels = 1: n elements */
    AT_LAYOUT_CHANNEL_INNER, /* inner = 1: channel = position in the row (NHWC, tokens) */
    AT_LAYOUT_CHANNEL_OUTER  /* inner > 1: planes of one channel each (NCHW) */
} at_layout;

const char *at_layout_name(at_layout layout); /* "flat", "channel_inner", "channel_outer" */
/* The layout in which a kernel of this signature runs this shape. */
at_layout at_layout_of(const at_signature *signature, actune_shape shape);
/* Elements of a port for a shape (moments: of all planes). */
int64_t at_port_count(const at_port *port, actune_shape shape);

#endif
