/* formula: beta * x > threshold ? x : log(1 + exp(beta * x)) / beta */
/* actune: beta = 1, threshold = 20 */
float softplus(float x, float beta, float threshold)
{
    float u = beta * x;
    return u > threshold ? x : actune_softplus(u) / beta;
}
