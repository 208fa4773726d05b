/* The tuned copy, the roof that kernels are held against: f32 identity kernels of our own, with any store, on one thread and on all. */
#ifndef AT_TUNER_COPIES_H
#define AT_TUNER_COPIES_H

#include "../runtime/backend/cpu.h"
#include "measure.h"

enum { AT_COPIES_MAX = 6 };

typedef struct at_copies {
    at_arm arm[AT_COPIES_MAX]; /* not opened */
    int count;
    at_hash source_hash; /* of all of them */
    at_binary *binary;
} at_copies;

/* Compiles them. Errors as at_binary_build; close it in any case. */
actune_status at_copies_open(at_cache *cache, const at_device *device, int threads, at_copies *copies);
void at_copies_close(at_copies *copies);

/* Whether its vectors are of 64 bytes (at_arm.wide). */
bool at_variant_is_wide(const at_variant *variant);

#endif
