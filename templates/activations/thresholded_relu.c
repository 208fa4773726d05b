/* formula: x > alpha ? x : 0 */
/* actune: alias thresholdedrelu */
/* actune: alpha = 1 */
float thresholded_relu(float x, float alpha)
{
    return x <= alpha ? 0 : x;
}
