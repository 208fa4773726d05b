/* formula: x */
float identity(float x)
{
    return x;
}
