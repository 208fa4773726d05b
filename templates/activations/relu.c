/* formula: max(x, 0) */
float relu(float x)
{
    return actune_max(x, 0);
}
