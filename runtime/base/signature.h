/* The signature of a kernel: all that launching it needs to know, without the graph it was made from. */
#ifndef AT_BASE_SIGNATURE_H
#define AT_BASE_SIGNATURE_H

#include <actune/actune.h>

typedef enum at_access {
    AT_ACCESS_ELEMENT, /* shape of y: outer * channels * inner */
    AT_ACCESS_CHANNEL, /* one value per channel */
    AT_ACCESS_SCALAR,  /* one value */
    AT_ACCESS_RANDOM,  /* input: two 64-bit words, seed and offset; the graph sees a random number in [0, 1) an element (base/random.h) */
    AT_ACCESS_HALVES,  /* x and dx behind the stage `halves`: each row of y's twice, first half and second half side by side */
    AT_ACCESS_PLANE    /* one value per outer and channel */
} at_access;

/* How an output that is no value an element comes from its node's values: over all elements, or over those of each channel. */
typedef enum at_reduction {
    AT_REDUCTION_NONE, /* an input, or a value for each element */
    AT_REDUCTION_SUM,
    AT_REDUCTION_MAX,  /* the largest that is no NaN, and 0 where there is none above it: for absolute values */
    AT_REDUCTION_STATISTICS, /* a record of ACTUNE_STATISTICS_FIELDS f64: sums, and the absolute maximum */
    AT_REDUCTION_MOMENTS, /* mean, deviation: all of at_moment, each in a plane of its own; the kernel's only output */
    AT_REDUCTION_COUNT
} at_reduction;

/* "sum", "max", "statistics", "moments"; "" of none. */
const char *at_reduction_name(at_reduction reduction);
/* Partial results that a chunk leaves for it; numbers of the result are as many, but of moments AT_MOMENTS_COUNT. */
int at_reduction_fields(at_reduction reduction);

enum {
    AT_PORTS_MAX = 24,
    AT_MOMENTS_SLOTS = 2 /* mean, and sum of squared distances from it */
};

typedef struct at_port {
    const char *name; /* "x", "bias", "bias2", "alpha", "y", "dy", "dx", "dbias" ... */
    at_access access;
    actune_dtype dtype;
    bool is_output;
    at_reduction reduction; /* output: over the elements that its access leaves out (parameter gradients) */
    double clip_lo, clip_hi; /* STATISTICS: x <= clip_lo or x >= clip_hi counts as clipped; none does unless clip_lo < clip_hi */
    int half, buffer; /* of views (at_signature_views): which half it is, 1 or 2, else 0; the port that it is a view of */
} at_port;

/* What moments are: for each channel (or the one tensor) these values of the compute type. */
typedef enum at_moment {
    AT_MOMENTS_MEAN,     /* rounded to the type */
    AT_MOMENTS_MEAN_LOW, /* what the rounding left out, so that x - mean - mean_low is right where the mean is large */
    AT_MOMENTS_RSTD,     /* 1 / sqrt(variance + eps), the variance that of the whole population (divided by n) */
    AT_MOMENTS_WEIGHT,   /* 1 / n */
    AT_MOMENTS_COUNT
} at_moment;

/* An operation on whole rows (the channels of [outer, channels, 1]); what launching must know of it. */
typedef enum at_row_kind { AT_ROW_NONE, AT_ROW_TOPK } at_row_kind;
typedef struct at_row {
    at_row_kind kind;
    double k; /* TOPK: how many elements stay, or below 1 which share of the row */
} at_row;

typedef struct at_signature {
    at_port port[AT_PORTS_MAX]; /* inputs in pipeline order (x, [dy], operands), then outputs (y | dx, gradients) */
    int ports, inputs;          /* view i is the graph's INPUT i; the view behind them by k is the graph's output k */
    actune_direction direction;
    actune_dtype dtype_in, dtype_out, compute;
    bool has_channel;           /* any CHANNEL or PLANE port, or an operation on rows: the extent of channels matters */
    bool has_plane;             /* any PLANE port */
    bool halves;                /* x is a HALVES port */
    int slots;                  /* partial results that a chunk leaves (for each channel): the fields of the reduced ports, in port order */
    at_row row;
    double eps;                 /* of moments */
} at_signature;

/* Whether the kernel makes moments: then they are its one output. */
bool at_signature_is_moments(const at_signature *signature);

typedef enum at_layout {
    AT_LAYOUT_FLAT,          /* no per-channel port, or channels = 1: n elements */
    AT_LAYOUT_CHANNEL_INNER, /* rows of all channels, outer * inner of them: channel = position in the row (NHWC, tokens) */
    AT_LAYOUT_CHANNEL_OUTER  /* planes of one channel each (NCHW); of halves without per-channel operands: a plane a row */
} at_layout;

const char *at_layout_name(at_layout layout); /* "flat", "channel_inner", "channel_outer" */
/* The layout in which a kernel of this signature runs this shape (one of at_shape_of). */
at_layout at_layout_of(const at_signature *signature, actune_shape shape);
/* What the graph sees: the ports, but for a HALVES port two ELEMENT ports, its first half in its place and its second half behind the other
   inputs (outputs). Without halves they are the ports. A signature keeps room for them. */
void at_signature_views(const at_signature *signature, at_signature *views);
/* How many elements of a row of `channels` stay: k, or the share rounded to the nearest number (halves up), at least one. */
int64_t at_row_kept(const at_row *row, int64_t channels);
/* How a field is joined: SUM or MAX. */
at_reduction at_port_field(const at_port *port, int field);
/* Numbers of a port for a shape (moments: of all planes). */
int64_t at_port_count(const at_port *port, actune_shape shape);

#endif
