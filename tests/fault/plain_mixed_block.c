/* The example of the README's batches: it runs, and what it leaves behind is right. */
int run_example(void);
#define main run_example
#include "../../examples/mixed_block.c"
#undef main

#include <math.h>

static double gelu(double v)
{
    return 0.5 * v * (1 + tanh(0.7978845608028654 * (v + 0.044715 * v * v * v)));
}

int main(void)
{
    int wrong = 0;
    if (run_example() != 0)
        return 1;
    for (int i = 0; i < COUNT; i++) {
        const int token = i / FEATURES; /* of the last step: 10, 200, 0 and 46 tokens */
        const double before = gelu(x[i]) + residual[i], layer = before > 0 ? before : 0;
        const double g = gelu(h[i]), right = token < 10 ? h[i] : token < 210 ? (g > 6 ? 6 : g) : h[i] / (1 + exp(-1.5 * h[i]));
        wrong += !(fabs(h[i] - layer) < 1e-5) + !(fabs(y[i] - right) < 1e-5);
    }
    printf("%d are wrong\n", wrong);
    return wrong > 0;
}
