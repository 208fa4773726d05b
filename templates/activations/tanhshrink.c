#include <math.h>

/* formula: x - tanh(x) */
float tanhshrink(float x)
{
    return x - tanhf(x);
}
