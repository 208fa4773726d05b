#include <math.h>

/* formula: 1 / (1 + exp(-x)) */
float sigmoid(float x)
{
    return 1 / (1 + expf(-x));
}
