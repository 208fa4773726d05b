#include <math.h>

/* formula: tanh(x) */
/* actune: name tanh */
float tanh_activation(float x)
{
    return tanhf(x);
}

/* actune: gradient of tanh from its output */
float tanh_gradient(float y, float dy)
{
    return (1 - y) * (1 + y) * dy;
}
