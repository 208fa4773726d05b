/* formula: x > 0 ? x : alpha * x */
/* actune: alpha = 0.01 */
float leaky_relu(float x, float alpha)
{
    return x > 0 ? x : alpha * x;
}
