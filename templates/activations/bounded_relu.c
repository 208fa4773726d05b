/* A ReLU up to 2 c, moved down by c so that both signs of symmetric codes are used: quantize(i8, scale=c / 127) has all 255 for it. No gradient at the
   bounds, as relu6's. */
/* formula: min(max(x, 0), 2 * c) - c */
/* actune: c = 3 */
/* actune: require c > 0 */
float bounded_relu(float x, float c)
{
    return actune_min(actune_max(x, 0), 2 * c) - c;
}
