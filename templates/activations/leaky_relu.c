#include <math.h>

/* formula: x > 0 ? x : alpha * x */
/* actune: alias leakyrelu lrelu */
/* actune: alpha = 0.01 */
/* actune: alias negative_slope of alpha */
float leaky_relu(float x, float alpha)
{
    return x > 0 ? x : alpha * x;
}

/* Below 0 an alpha under 0 gives outputs above 0: they do not tell the sides apart. */
/* actune: gradient of leaky_relu from its output */
float leaky_relu_gradient(float y, float dy, float alpha)
{
    return alpha < 0 ? NAN : y > 0 ? dy : alpha * dy;
}
