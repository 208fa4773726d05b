#include <math.h>

/* formula: |x| <= lambd ? 0 : x - sign(x) * lambd */
/* actune: lambd = 0.5 */
/* actune: require lambd >= 0 */
float softshrink(float x, float lambd)
{
    return fabsf(x) <= lambd ? 0 : x - copysignf(lambd, x);
}
