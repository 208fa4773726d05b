/* `actune export`: tuned kernels as a library that needs nothing of ours. See README.md for the way of the data. */
#ifndef AT_EXPORT_EXPORT_H
#define AT_EXPORT_EXPORT_H

#include "../codegen/variant.h"

enum { AT_EXPORT_SPECS_MAX = 256, AT_EXPORT_DTYPES_MAX = 16, AT_EXPORT_ISAS_MAX = 5, AT_EXPORT_ARCHS_MAX = 16, AT_EXPORT_GRADIENTS_MAX = 8 };

typedef struct at_export_dtypes {
    actune_dtype in, out;
} at_export_dtypes;

typedef struct at_export_request {
    const char *name; /* of the library: prefix of all its functions */
    const char *const *specs; /* "SPEC", or "NAME=SPEC" where the name made from the spec will not do */
    int specs_count;
    at_export_dtypes dtypes[AT_EXPORT_DTYPES_MAX];
    int dtypes_count;
    bool forward, backward;
    const char *gradients[AT_EXPORT_GRADIENTS_MAX]; /* operands whose gradient is wanted, of the specs that have them */
    int gradients_count;
    bool cpu, cuda;
    at_isa isas[AT_EXPORT_ISAS_MAX];
    int isas_count;
    int archs[AT_EXPORT_ARCHS_MAX]; /* 90 for sm_90 */
    int archs_count;
    const char *database;  /* as actune_context_options; a file that is named must exist */
    const char *tuned_on;  /* winners of this device alone (an id, or its beginning); NULL: this machine's, else of its kin */
    const char *output;    /* folder */
    bool force;            /* replace what is there */
    bool sources_only;     /* no compiler is started */
} at_export_request;

/* What came of it, for people and programs. Owned by the report. */
typedef struct at_export_report {
    at_arena arena;
    const char **function; /* names */
    const char **spec;     /* canonical, of each function */
    const char **direction, **tier; /* "forward"; "tuned", "default" */
    int *variants;         /* of each function, on all targets */
    int functions;
    const char **note;
    int notes;
    int64_t archive_bytes, shared_bytes; /* 0: not built */
} at_export_report;

/* Makes the folder, complete or not at all. Errors, each saying what to do: INVALID_ARGUMENT (a name that is no C identifier, a folder that
   is not empty, two functions of one name ...), SYNTAX, UNSUPPORTED (a kernel that is not exported yet), DATABASE, NOT_FOUND (a database or
   device that was named), NO_COMPILER, COMPILE, DEVICE (no NVRTC), IO, NO_MEMORY. */
actune_status at_export(const at_export_request *request, at_export_report *report);
void at_export_report_clear(at_export_report *report);

/* Compares a folder with what was written there. VERIFY names each file that is missing, changed or new, a line each, through `say`. */
actune_status at_export_check(const char *folder, void (*say)(void *user, const char *line), void *user, int *files);

#endif
