#include <math.h>

/* formula: x > 0 ? x : alpha * (exp(x / alpha) - 1) */
/* actune: alpha = 1 */
float celu(float x, float alpha)
{
    return x > 0 ? x : alpha * expm1f(x / alpha);
}

/* e^(x / alpha) is y / alpha + 1. An alpha under 0 gives outputs above 0 on both sides. */
/* actune: gradient of celu from its output */
float celu_gradient(float y, float dy, float alpha)
{
    return alpha <= 0 ? NAN : y > 0 ? dy : (y / alpha + 1) * dy;
}
