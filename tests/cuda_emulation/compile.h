/* CUDA text to a shared object for the CPU, with shim.h in front. */
#ifndef AT_TESTS_EMULATION_COMPILE_H
#define AT_TESTS_EMULATION_COMPILE_H

#include "runtime/base/status.h"

/* Writes `source` to the file `text` and compiles it to `object`. `extra` (NULL: nothing) follows the source. UNSUPPORTED without clang (gcc
   has no trap for alignment); COMPILE: the compiler's words are in the file `log`, or on stderr when that is NULL. */
actune_status emu_compile(const char *source, const char *extra, const char *text, const char *object, const char *log);

#endif
