#include <math.h>

/* formula: x > 0 ? x : alpha * (exp(x / alpha) - 1) */
/* actune: alpha = 1 */
float celu(float x, float alpha)
{
    return x > 0 ? x : alpha * expm1f(x / alpha);
}
