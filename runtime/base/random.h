/* The random numbers that kernels see behind a port of AT_ACCESS_RANDOM. */
#ifndef AT_BASE_RANDOM_H
#define AT_BASE_RANDOM_H

#include <stdint.h>

/* A multiple of 2^-24 in [0, 1): the upper bits of word `element` % 4 of Philox 4x32-10's block `element` / 4. `words` is what the port
   holds, 16 bytes of any alignment: the seed (the key) and the offset (counter words 2 and 3). */
double at_random_unit(const void *words, int64_t element);

#endif
