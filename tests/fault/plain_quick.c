/* The example of the README, built and run as it stands: its exit status is the test's. */
#include "../../examples/quick.c"
