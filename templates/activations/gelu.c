#include <float.h>
#include <math.h>

/* x times the normal distribution's Phi(x); erfc keeps the tail that 1 + erf would cancel. */
/* formula: 0.5 * x * erfc(-x / sqrt(2)) */
float gelu(float x)
{
    float finite = actune_max(x, -FLT_MAX); /* the limit at -inf is 0, and -inf * 0 is not */
    return 0.5f * finite * erfcf(-x * M_SQRT1_2);
}
