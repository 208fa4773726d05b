/* Runs a CUDA kernel that was compiled for the CPU through shim.h: a fiber for each thread of a block, block after block. What a GPU
   would forgive by luck is an error here:
   - a barrier that not all threads of the block reach, or reach at different lines; a shuffle without all lanes of its mask;
   - a vector access that is not aligned (the unit is compiled with -fsanitize=alignment, which traps);
   - an access outside a buffer (guard pages around emu_buffer's memory);
   - reading shared memory that nobody wrote, or that an asynchronous copy will write: it holds NaN until the copy is waited for.
   One launch at a time in a process. */
#ifndef AT_TESTS_EMULATOR_H
#define AT_TESTS_EMULATOR_H

#include <stddef.h>
#include <stdint.h>

typedef enum emu_order { EMU_FORWARD, EMU_BACKWARD, EMU_SHUFFLED, EMU_ORDERS } emu_order; /* in which threads get their turns */

enum { EMU_ARGUMENTS_MAX = 20 };

typedef struct emu_launch {
    void *function;
    intptr_t argument[EMU_ARGUMENTS_MAX]; /* pointers and integers only: what the kernels take */
    int arguments;
    int grid, block;
    emu_order order;
    char *shared_begin, *shared_end; /* of the unit (emu_shared_bounds) */
} emu_launch;

/* Threads of the last launch that waited for the grid in front of theirs. */
extern long emu_waited;
/* NULL, or what went wrong, in static memory. */
const char *emu_run(const emu_launch *launch);

/* Memory between guard pages. The bytes end at the upper one, or, with `from_start`, begin at the lower one (then they are aligned to a
   page). Free with emu_buffer_free. NULL: no memory. */
typedef struct emu_buffer {
    void *data;
    void *map;
    size_t map_bytes;
} emu_buffer;
emu_buffer emu_buffer_make(size_t bytes, int from_start);
void emu_buffer_free(emu_buffer *buffer);

#endif
