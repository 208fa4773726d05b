/* Ties of min and max send no gradient to x: it is 0 at the bounds, as in PyTorch. */
/* formula: min(max(x, min_val), max_val) */
/* actune: min_val = -1, max_val = 1 */
/* actune: require min_val <= max_val */
float hardtanh(float x, float min_val, float max_val)
{
    return actune_min(actune_max(x, min_val), max_val);
}

/* actune: gradient of hardtanh from its output */
float hardtanh_gradient(float y, float dy, float min_val, float max_val)
{
    return y <= min_val || y >= max_val ? 0 : dy;
}
