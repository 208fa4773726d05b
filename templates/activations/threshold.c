/* NaN is on neither side and stays, as in PyTorch. */
/* formula: x > threshold ? x : value */
/* actune: threshold = 0, value = 0 */
float threshold(float x, float threshold, float value)
{
    return x <= threshold ? value : x;
}
