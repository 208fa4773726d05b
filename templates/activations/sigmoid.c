#include <math.h>

/* formula: 1 / (1 + exp(-x)) */
/* actune: alias logistic */
float sigmoid(float x)
{
    return 1 / (1 + expf(-x));
}

/* actune: gradient of sigmoid from its output */
float sigmoid_gradient(float y, float dy)
{
    return y * (1 - y) * dy;
}
