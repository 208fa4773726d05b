/* The CUDA kernel of a batch: functions of different kernels in one, and which block does what. On a CPU a batch calls its members' own kernels. */
#ifndef AT_CODEGEN_BATCH_KERNEL_H
#define AT_CODEGEN_BATCH_KERNEL_H

#include "variant.h"

/* A member's function. Its loop has the batch's knobs; the arithmetic is a knob of the member's own kernel. No sums. */
typedef struct at_batch_function {
    const at_kernel *kernel;
    at_layout layout;
    const char *math;
} at_batch_function;

#define AT_BATCH_SYMBOL "actune_batch"

/* What the kernel finds in device memory, as templates/cuda/batch_head has it. */
typedef struct at_batch_entry {
    long long rows, row, inner;
    int channels, function, first_buffer;
    int piece_elements, piece_bytes;
} at_batch_entry;

typedef struct at_batch_place {
    long long piece;
    int member, reserved;
} at_batch_place;

/* Appends the unit: AT_BATCH_SYMBOL (entries, int count, places, rows, offsets, `pointers` addresses by value). `variant`: a text, knobs or not
   ("cuda/batch vectors=4"). `lines`: with #line. Errors: SYNTAX, INVALID_ARGUMENT (the variant), UNSUPPORTED (knobs that the target does not have). */
actune_status at_generate_batch_kernel(const at_batch_function *function, int count, int pointers, const at_target *target, const char *variant,
                                       bool lines, at_strbuf *source);

/* How it is launched. */
typedef struct at_batch_geometry {
    int block;
    int step_bytes; /* that a block reads of a function's widest tensor in one step */
} at_batch_geometry;
actune_status at_batch_geometry_of(const char *variant, at_batch_geometry *geometry);
/* Elements that a block does in one step of this kernel's function. */
int at_batch_piece_elements(const at_kernel *kernel, const at_batch_geometry *geometry);

#endif
