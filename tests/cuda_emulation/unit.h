/* CUDA text -> shared object for the CPU -> functions that the emulator can run. */
#ifndef AT_TESTS_EMULATION_UNIT_H
#define AT_TESTS_EMULATION_UNIT_H

#include "codegen/emit_cuda.h"
#include "emulator.h"
#include "runtime/backend/cpu.h"

typedef struct emu_unit {
    void *handle;
    char *shared_begin, *shared_end;
} emu_unit;

/* Compiles with clang (UNSUPPORTED where that is missing: gcc has no trap for alignment). COMPILE: the compiler's words are on stderr. */
actune_status emu_unit_build(const char *source, emu_unit *unit);
void emu_unit_close(emu_unit *unit);

/* One kernel of a unit, ready to be verified. */
typedef struct emu_kernel {
    const emu_unit *unit;
    const at_kernel *kernel;
    at_layout layout;
    at_cuda_geometry geometry;
    void *function, *finish;
    emu_order order;
    const char *fault; /* what the emulator said; NULL */
} emu_kernel;

/* NOT_FOUND when the symbol is missing. */
actune_status emu_kernel_find(const emu_unit *unit, const at_kernel *kernel, at_layout layout, const at_variant *variant, const char *symbol,
                              emu_kernel *made);
/* For at_verify_target.run: `user` is an emu_kernel. The ports are copied between guard pages, in the same alignment to 64 bytes, and
   back. Each launch takes the next order of threads. */
actune_status emu_kernel_run(void *user, actune_shape shape, void *const *port);

#endif
