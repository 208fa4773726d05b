/* Clamped before the shift: the bounds are met exactly, and ties send no gradient to x, as in PyTorch. */
/* formula: (min(max(x, -3), 3) + 3) / 6 */
/* actune: alias hard_sigmoid */
float hardsigmoid(float x)
{
    float clamped = actune_min(actune_max(x, -3), 3);
    return (clamped + 3) * (1.0f / 6);
}
