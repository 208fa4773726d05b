#include <math.h>

/* formula: tanh(x) */
/* actune: name tanh */
float tanh_activation(float x)
{
    return tanhf(x);
}
