/* formula: x > 0 ? x : alpha * x */
/* actune: alpha = 0.25 */
/* actune: alias weight of alpha */
/* actune: alias init of alpha */
float prelu(float x, float alpha)
{
    return x > 0 ? x : alpha * x;
}
