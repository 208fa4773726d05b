/* The bounds belong to the middle piece, as in PyTorch: the slope at -3 is -0.5, at 3 it is 1.5. */
/* formula: x < -3 ? 0 : x <= 3 ? x * (x + 3) / 6 : x */
/* actune: alias hard_swish */
float hardswish(float x)
{
    if (x < -3)
        return 0;
    if (x > 3)
        return x;
    return x * ((x + 3) * (1.0f / 6));
}
