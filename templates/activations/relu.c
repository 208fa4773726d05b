/* formula: max(x, 0) */
float relu(float x)
{
    return actune_max(x, 0);
}

/* actune: gradient of relu from its output */
float relu_gradient(float y, float dy)
{
    return y <= 0 ? 0 : dy;
}
