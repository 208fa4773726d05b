#include <float.h>

/* formula: x * sigmoid(x) */
float silu(float x)
{
    float finite = actune_max(x, -FLT_MAX); /* the limit at -inf is 0, and -inf * 0 is not */
    return finite * actune_sigmoid(x);
}
