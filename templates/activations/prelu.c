/* formula: x > 0 ? x : alpha * x */
/* actune: alpha = 0.25 */
float prelu(float x, float alpha)
{
    return x > 0 ? x : alpha * x;
}
