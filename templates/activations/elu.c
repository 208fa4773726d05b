#include <math.h>

/* formula: x > 0 ? x : alpha * (exp(x) - 1) */
/* actune: alpha = 1 */
float elu(float x, float alpha)
{
    return x > 0 ? x : alpha * expm1f(x);
}

/* alpha e^x is y + alpha. An alpha under 0 gives outputs above 0 on both sides. */
/* actune: gradient of elu from its output */
float elu_gradient(float y, float dy, float alpha)
{
    return alpha <= 0 ? NAN : y > 0 ? dy : (y + alpha) * dy;
}
