/* Conformance of every activation's backward kernels; an argument names one spec to run alone. */
#include "conformance.inc"

int main(int argc, char **argv)
{
    return run_conformance(true, argc > 1 ? argv[1] : NULL);
}
