/* formula: max(x, 0)^2 */
/* actune: alias relu2 squared_relu */
float relu_squared(float x)
{
    float positive = actune_max(x, 0);
    return positive * positive;
}
