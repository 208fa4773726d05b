/* actune: sharpness = 1 */
float gate(float x, float sharpness)
{
    return 1 / (1 + expf(-sharpness * x));
}
