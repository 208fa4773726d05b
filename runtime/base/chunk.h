/* How the elements of a kernel with sums are cut into chunks: by the shape alone (kernel_abi.h has the rules). */
#ifndef AT_BASE_CHUNK_H
#define AT_BASE_CHUNK_H

#include "kernel_abi.h"
#include "signature.h"

/* The shape is sane (at_launch_init checks it). */
at_chunk_plan at_chunk_plan_of(const at_signature *signature, at_layout layout, actune_shape shape);

#endif
