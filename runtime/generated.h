/* Generated source, remembered in the cache: fitting a function's coefficients takes up to a second, reading the result
   back 0.1 ms. */
#ifndef AT_RUNTIME_GENERATED_H
#define AT_RUNTIME_GENERATED_H

#include "../codegen/variant.h"
#include "backend/cpu.h"

typedef struct at_generated {
    at_strbuf source, variant; /* variant: as at_variant_print writes it */
    at_hash source_hash;       /* the variant's identity in the database */
    char symbol[32];
} at_generated;

/* The source of a kernel's variant; variant NULL: of the default one. What is in the cache was written by this very
   build of the library, so a changed template or generator is never served old text. Clear `generated` in any case. */
actune_status at_generated_get(at_cache *cache, const at_kernel *kernel, at_layout layout, const at_target *target,
                               const char *variant, at_generated *generated);
void at_generated_clear(at_generated *generated);

#endif
