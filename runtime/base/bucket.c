#include "bucket.h"

int at_size_bucket(int64_t n)
{
    if (n <= 1)
        return 0;
    int exponent = 63 - __builtin_clzll((unsigned long long)n);
    /* Up when n >= 2^(exponent + 1/2), that is n^2 >= 2^(2 exponent + 1). */
    unsigned __int128 square = (unsigned __int128)n * (unsigned __int128)n;
    return exponent + (square >> (2 * exponent + 1) != 0);
}
