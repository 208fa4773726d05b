#include <math.h>

/* ONNX's Shrink: hardshrink with bias 0, softshrink with bias = lambd. */
/* formula: |x| <= lambd ? 0 : x - sign(x) * bias */
/* actune: lambd = 0.5, bias = 0 */
/* actune: require lambd >= 0 */
float shrink(float x, float lambd, float bias)
{
    return fabsf(x) <= lambd ? 0 : x > 0 ? x - bias : x + bias;
}
