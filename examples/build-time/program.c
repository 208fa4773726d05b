/* A layer and its gradient, by kernels that were generated when this was built. */
#include <layers.h>

#include <stdio.h>

enum { ROWS = 3, FEATURES = 4 };

int main(void)
{
    const float x[ROWS * FEATURES] = {-3, -1, -0.5f, 0, 0.5f, 1, 2, 3, 4, 5, 6, 7}, bias[FEATURES] = {0, 0.5f, 0, -0.5f};
    float y[ROWS * FEATURES], dx[ROWS * FEATURES], dbias[FEATURES], gate[ROWS * FEATURES];
    if (layers_bias_gelu_tanh_clip_m6_6_f32(x, bias, y, ROWS, FEATURES, 1) != LAYERS_OK ||
        layers_bias_gelu_tanh_clip_m6_6_backward_f32(x, y, bias, dx, dbias, ROWS, FEATURES, 1) != LAYERS_OK ||
        layers_gate_f32(x, gate, ROWS * FEATURES) != LAYERS_OK) {
        fprintf(stderr, "%s\n", layers_last_error());
        return 1;
    }
    printf("y[8] = %.4f, y[11] = %.4f, dbias[1] = %.4f, gate(-3) = %.4f\n", y[8], y[11], dbias[1], gate[0]);
    return 0;
}
