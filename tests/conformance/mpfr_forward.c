/* Conformance of every activation's forward kernels; an argument names one spec to run alone. */
#include "conformance.inc"

int main(int argc, char **argv)
{
    return run_conformance(false, argc > 1 ? argv[1] : NULL);
}
