/* formula: x */
/* actune: alias linear */
float identity(float x)
{
    return x;
}
