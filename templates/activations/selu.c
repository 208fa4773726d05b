#include <math.h>

/* The fixed point of mean 0 and variance 1 (Klambauer et al. 2017). */
static const float SCALE = 1.0507009873554804934193349852946f;
static const float ALPHA = 1.6732632423543772848170429916717f;

/* formula: 1.0507 * (x > 0 ? x : 1.67326 * (exp(x) - 1)) */
float selu(float x)
{
    return x > 0 ? SCALE * x : SCALE * ALPHA * expm1f(x); /* one rounding after expm1f */
}

/* SCALE ALPHA e^x is y + SCALE ALPHA. */
/* actune: gradient of selu from its output */
float selu_gradient(float y, float dy)
{
    return y > 0 ? SCALE * dy : (y + SCALE * ALPHA) * dy;
}
