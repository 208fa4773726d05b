/* Clamped before the shift: the bounds are met exactly, and ties send no gradient to x, as in PyTorch, whose slope is the
   default. ONNX's HardSigmoid is hardsigmoid(alpha=0.2). */
/* formula: min(max(alpha * x + beta, 0), 1), alpha = 1/6 */
/* actune: alias hard_sigmoid */
/* actune: alpha = 0.16666666666666666, beta = 0.5 */
/* actune: require alpha > 0 */
float hardsigmoid(float x, float alpha, float beta)
{
    float shift = beta / alpha;
    float clamped = actune_min(actune_max(x, -shift), (1 - beta) / alpha);
    return (clamped + shift) * alpha;
}
