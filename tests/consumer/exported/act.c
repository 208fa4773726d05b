/* actune: alpha = 0.5 */
float softish(float x, float alpha)
{
    return x > 0 ? x : alpha * x / (1 - x);
}
