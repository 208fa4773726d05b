#include <math.h>

/* formula: x / (1 + |x|) */
float softsign(float x)
{
    return x / (1 + fabsf(x));
}
