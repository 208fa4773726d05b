/* What a cubin says of its kernels, without a GPU: registers, shared memory, machine code. */
#ifndef AT_BACKEND_CUBIN_H
#define AT_BACKEND_CUBIN_H

#include "../base/hash.h"
#include "../base/status.h"

typedef struct at_cubin_kernel {
    int registers;    /* a thread; -1: the cubin does not say */
    int shared_bytes; /* static, of a block, without what the system takes; -1 unknown */
    int stack_bytes;  /* local memory of a thread: arrays and spills; -1 unknown */
    size_t code_bytes; /* of all kernels in the file */
    at_hash code_hash; /* of the machine code and constants of all kernels in the file; names are left out */
} at_cubin_kernel;

/* Reads an ELF cubin of `bytes` bytes. Every offset is checked. SYNTAX: no cubin, or a damaged one; NOT_FOUND: it has no kernel `symbol`. */
actune_status at_cubin_read(const void *cubin, size_t bytes, const char *symbol, at_cubin_kernel *kernel);

#endif
