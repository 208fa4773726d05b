#include <math.h>

/* formula: 1 / (1 + exp(-x)) */
/* actune: alias logistic */
float sigmoid(float x)
{
    return 1 / (1 + expf(-x));
}
