/* Which kernels cuDNN computes as well, and by which of its functions. Whether it means the same is not decided here: the tuner verifies. */
#ifndef AT_RUNTIME_CUDNN_VARIANT_H
#define AT_RUNTIME_CUDNN_VARIANT_H

#include "../codegen/variant.h"
#include "backend/cudnn_launch.h"

enum { AT_CUDNN_VARIANTS_MAX = 1 + AT_CUDNN_CHOICES_MAX };

/* In the place of a template with its knobs stands cuDNN's function with cuDNN's version: another version is another variant. */
typedef struct at_cudnn_variant {
    at_variant variant; /* "cudnn/activation version=9.13.1", "cudnn/graph plan=0 version=9.13.1" */
    at_cudnn_function function;
    at_hash source_hash; /* of all that cuDNN is told: its identity in the database */
} at_cudnn_variant;

/* "cudnn/..." */
bool at_cudnn_is_variant(const char *text);

/* Fills at most AT_CUDNN_VARIANTS_MAX and returns how many: 0 for a kernel that cuDNN does not have, or without cuDNN. Loads the library when the
   kernel is one that it may have. */
int at_cudnn_variants(const at_kernel *kernel, at_cudnn_variant *variants);
/* By its text. DEVICE without cuDNN, NOT_FOUND for another version of it or a kernel that has no such variant. */
actune_status at_cudnn_variant_find(const at_kernel *kernel, const char *text, at_cudnn_variant *variant);

/* For people: "cuDNN 9.13.1, activation"; other variants' texts as they are. Needs no cuDNN. */
void at_cudnn_describe(const char *text, at_strbuf *out);

#endif
