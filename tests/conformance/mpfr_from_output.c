/* Conformance of backward kernels that read y in place of x ([from=output]): y is the correctly rounded f(x), dx is held against
   f'(x). An argument names one spec to run alone. */
#include "conformance.inc"

int main(int argc, char **argv)
{
    from_output = true;
    return run_conformance(true, argc > 1 ? argv[1] : NULL);
}
