/* At inference: the mean of the slopes that training draws (the stage rrelu_training). */
/* formula: x > 0 ? x : (lower + upper) / 2 * x */
/* actune: lower = 0.125, upper = 0.3333333333333333 */
/* actune: require lower <= upper */
float rrelu(float x, float lower, float upper)
{
    return x > 0 ? x : (lower + upper) * 0.5f * x;
}
