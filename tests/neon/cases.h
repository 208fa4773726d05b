/* What the host hands to the AArch64 program: for each kernel its inputs and the interval that each output must lie in. */
#ifndef AT_TESTS_NEON_CASES_H
#define AT_TESTS_NEON_CASES_H

#include <stdint.h>

enum { NEON_MAGIC = 0x41544e31 };

typedef struct neon_case {
    uint32_t magic;
    char symbol[44];
    char what[80];  /* for people */
    int32_t dtype, bytes, ports, x_port, dy_port;
    int64_t count;
    /* then: count elements of x; count doubles low; count doubles high. Both NaN: the output must be NaN; low > high: any. */
} neon_case;

#endif
