/* formula: log(1 / (1 + exp(-x))) */
/* actune: alias logsigmoid */
float log_sigmoid(float x)
{
    return -actune_softplus(-x); /* no overflow at either end */
}
