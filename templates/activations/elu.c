#include <math.h>

/* formula: x > 0 ? x : alpha * (exp(x) - 1) */
/* actune: alpha = 1 */
float elu(float x, float alpha)
{
    return x > 0 ? x : alpha * expm1f(x);
}
