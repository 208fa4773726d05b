// Two exported libraries in one program, from C++.
#include <net.h>
#include <other.h>

#include <cstdio>

int main()
{
    float x[3] = {-1, 0.5f, 7}, y[3], z[3], bias[3] = {0, 0, 0};
    if (net_gelu_f32(x, bias, y, 1, 3, 1) != NET_OK || other_relu_f32(x, z, 3) != OTHER_OK)
        return 1;
    if (z[0] != 0 || z[1] != 0.5f || z[2] != 7 || y[2] != 6)
        return 1;
    if (other_relu_f32(nullptr, z, 3) != OTHER_INVALID_ARGUMENT || net_last_error()[0] != '\0') // messages are each library's own
        return 1;
    std::printf("%s %s\n", net_isa(), other_isa());
    return 0;
}
