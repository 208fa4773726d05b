#include <float.h>

/* 0.5 (1 + tanh(u)) is sigmoid(2u), which does not cancel in the negative tail. */
/* actune: alias gelu_new gelu_pytorch_tanh */
/* formula: 0.5 * x * (1 + tanh(sqrt(2 / pi) * (x + 0.044715 * x^3))) */
float gelu_tanh(float x)
{
    float finite = actune_max(x, -FLT_MAX); /* the limit at -inf is 0, and -inf * 0 is not */
    float u = 0.79788456080286535588f * (x + 0.044715f * x * x * x); /* sqrt(2 / pi) */
    return finite * actune_sigmoid(2 * u);
}
