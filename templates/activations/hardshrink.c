#include <math.h>

/* formula: |x| <= lambd ? 0 : x */
/* actune: lambd = 0.5 */
/* actune: require lambd >= 0 */
float hardshrink(float x, float lambd)
{
    return fabsf(x) <= lambd ? 0 : x;
}
