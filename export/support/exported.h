/* What stands behind the functions of an exported library on a CPU: which variant, which threads, which memory. The generated source fills the
   structs, this file's functions run them. Compiled into every exported library, beside the parts of runtime/ that it needs. */
#ifndef AT_EXPORTED_H
#define AT_EXPORTED_H

#include "../../runtime/base/isa.h"
#include "../../runtime/base/table.h"
#include "../../runtime/launch.h"

#include <stdatomic.h>

enum { AT_EXPORTED_RECALLED = 8 };

typedef struct at_exported_function {
    const char *name; /* "mylib_gelu_f32", for messages */
    at_hash kernel;
    at_signature signature;
    unsigned char bytes[AT_PORTS_MAX]; /* of an element of each port */
    _Atomic uint64_t recalled[AT_EXPORTED_RECALLED]; /* variants found before: see exported.c */
} at_exported_function;

/* One instruction set: its variants, and the table that says which of them a shape gets (a variant's text there is its number). */
typedef struct at_exported_level {
    at_isa isa;
    actune_kernel_fn const *variant;
    const unsigned char *threads; /* that each variant wants */
    const unsigned char *table;
} at_exported_level;

typedef struct at_exported_library {
    const char *isa_variable; /* of the environment; lowers the instruction set: "MYLIB_ISA" */
    const char *wanted;       /* instruction sets, for the message of a machine that has none of them */
    const at_exported_level *level; /* best first */
    int levels;
    _Atomic int chosen;       /* level + 1; 0: not looked yet */
    _Atomic int max_threads;  /* 0: the processors that the process may use */
    at_pool *_Atomic pool;
    void *_Atomic spare;      /* memory for partial sums, kept for the next call */
} at_exported_library;

/* Runs a function on ports in port order. INVALID_ARGUMENT (shape; a port that is NULL, misaligned, or overlaps), UNSUPPORTED (processor),
   NO_MEMORY. Any thread, several at once. */
actune_status at_exported_run(at_exported_library *library, at_exported_function *function, void *const *ports, actune_shape shape);
/* The number of the variant that the table has for a key. */
int at_exported_find(const unsigned char *table, const at_table_key *key);
/* The ports alone, as above; the shape is sane. */
actune_status at_exported_check(const at_exported_function *function, void *const *ports, actune_shape shape);
/* y stands where x does (dx where dy does). */
bool at_exported_in_place(const at_exported_function *function, void *const *ports);

/* threads < 0: INVALID_ARGUMENT; 0: all processors. */
actune_status at_exported_set_threads(at_exported_library *library, int threads);
/* The instruction set that runs here; NULL where none does. */
const char *at_exported_isa(at_exported_library *library);
/* Ends the worker threads and frees what is kept. Nothing else may run. */
void at_exported_release(at_exported_library *library);

#endif
