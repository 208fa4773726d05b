/* Ties of min and max send no gradient to x: it is 0 at 0 and at 6, as in PyTorch. */
/* formula: min(max(x, 0), 6) */
/* actune: alias relu_6 */
float relu6(float x)
{
    return actune_min(actune_max(x, 0), 6);
}

/* actune: gradient of relu6 from its output */
float relu6_gradient(float y, float dy)
{
    return y <= 0 || y >= 6 ? 0 : dy;
}
