/* formula: x * sigmoid(beta * x) */
/* actune: beta = 1 */
float swish(float x, float beta)
{
    float gate = actune_sigmoid(beta * x);
    return gate == 0 ? 0 : x * gate; /* a closed gate closes for infinities too, whatever the sign of beta */
}
