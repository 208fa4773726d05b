#include <float.h>
#include <math.h>

/* formula: x * tanh(log(1 + exp(x))) */
float mish(float x)
{
    float finite = actune_max(x, -FLT_MAX); /* the limit at -inf is 0, and -inf * 0 is not */
    return finite * tanhf(actune_softplus(x)); /* no overflow at either end */
}
