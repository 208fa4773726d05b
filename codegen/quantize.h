/* The stages between real numbers and the codes of 8-bit tensors. What they compute is in docs/quantisation.md. */
#ifndef AT_CODEGEN_QUANTIZE_H
#define AT_CODEGEN_QUANTIZE_H

#include "spec_scan.h"
#include "stages.h"

enum { AT_QUANTIZE_TYPE, AT_QUANTIZE_SCALE, AT_QUANTIZE_ZERO_POINT }; /* quantize's arguments; dequantize's are one less */

/* Words of quantize's first argument, NULL at the end; the argument's value is a word's number. */
extern const char *const at_quantize_words[];

const char *at_quantize_check(const at_argument *argument, int *bad);
const char *at_dequantize_check(const at_argument *argument, int *bad);
at_node_id at_quantize_build(const at_stage_input *input);
at_node_id at_dequantize_build(const at_stage_input *input);

/* Refuses what stands behind quantize or before dequantize, at its stage. SYNTAX. */
actune_status at_quantize_check_places(const at_scan *scan, const at_spec *spec);
/* Whether the pipeline ends in quantize, and so has an output of *dtype whatever is asked for. */
bool at_quantize_output(const at_spec *spec, actune_dtype *dtype);
/* dtype_in and dtype_out against the stages. INVALID_ARGUMENT. */
actune_status at_quantize_check_types(const at_spec *spec, actune_dtype in, actune_dtype out);
/* The type of the gradient of a tensor of `own`, in a kernel that computes in `compute` and whose other end has `other`: its own; that of
   the other end, or `compute`, where it has 8 bits. */
actune_dtype at_quantize_gradient_dtype(actune_dtype own, actune_dtype other, actune_dtype compute);

#endif
