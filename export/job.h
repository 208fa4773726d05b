/* What the files of export/ share: the job, from the request to the files of the folder. */
#ifndef AT_EXPORT_JOB_H
#define AT_EXPORT_JOB_H

#include "../codegen/emit_cuda.h"
#include "../db/store.h"
#include "../runtime/device.h"
#include "../runtime/dispatch.h"
#include "export.h"

/* One function of the library: a kernel under a name. */
typedef struct at_export_function {
    at_kernel kernel;
    const char *symbol;  /* "mylib_gelu_tanh_f32" */
    const char *cuda_symbol;
    const char *parameter[AT_PORTS_MAX]; /* C names of the ports */
    const char *canonical; /* as the database has it; kernel.spec is what is shown (at_export_shown_spec) */
    bool user_file;      /* some stage is a user's own C function */
    at_hash forward;     /* then: of the forward kernel */
} at_export_function;

/* One variant for one target. */
typedef struct at_export_variant {
    int function;
    at_layout layout;
    at_variant variant;
    const char *text;    /* as at_variant_print writes it */
    char symbol[32];
    at_hash source_hash;
    int threads;         /* CPU */
    at_cuda_geometry geometry;
    char *source;        /* CUDA: the translation unit */
} at_export_variant;

/* What one shape gets, and how that is known. */
typedef struct at_export_row {
    at_table_key key;
    int function, variant;
    const char *tier;            /* "exact" ..., "default" */
    double median_ns, ratio;     /* measured; 0: not */
} at_export_row;

typedef struct at_export_target {
    at_target target;
    const char *name;  /* "x86-64-v4", "sm_90" */
    const char *tag;   /* the same in identifiers: "x86_64_v4" */
    at_device device;  /* whose winners */
    at_dispatch *dispatch;
    at_export_variant *variant;
    int variants, variants_room;
    at_export_row *row;
    int rows, rows_room;
} at_export_target;

enum { AT_EXPORT_TARGETS_MAX = AT_EXPORT_ISAS_MAX + AT_EXPORT_ARCHS_MAX, AT_EXPORT_PATH_MAX = 1024 };

typedef struct at_export_file {
    const char *path; /* below the folder */
    char *bytes;
    size_t size;
} at_export_file;

typedef struct at_export_job {
    const at_export_request *request;
    at_export_report *report;
    at_arena arena;
    const char *upper; /* "MYLIB" */
    at_export_function **function;
    int functions;
    at_export_target target[AT_EXPORT_TARGETS_MAX];
    int targets;
    at_export_file *file;
    int files, files_room;
    char folder[AT_EXPORT_PATH_MAX]; /* where it is made: beside the output */
} at_export_job;

actune_status at_export_no_memory(void);
actune_status at_export_note(at_export_job *job, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Makes room for one more of `*array`, elements of `bytes`. */
actune_status at_export_grow(void *array, int count, int *room, size_t bytes);

/* collect.c: specs x types x directions -> functions. */
actune_status at_export_collect(at_export_job *job);
/* names.c: "bias_gelu_tanh_clip_m6_6" of a canonical spec; text in the arena. */
char *at_export_slug(const at_spec *spec, at_arena *arena);
bool at_export_is_identifier(const char *text);
/* A port's name, or that with an underscore where it means something else in C, C++ or the function's parameter list. */
const char *at_export_parameter(const char *port, at_arena *arena);
/* The spec with user files by their last name, so that no folder of this machine is told. */
char *at_export_shown_spec(const char *canonical, at_arena *arena);

/* targets.c: instruction sets and architectures, with the winners of their devices. */
actune_status at_export_open_targets(at_export_job *job);
void at_export_close_targets(at_export_job *job);
/* select.c: for each function and target, which variants, for which shapes. */
actune_status at_export_select(at_export_job *job);

/* A file of the folder; takes the buffer's text. */
actune_status at_export_add_file(at_export_job *job, const char *path, at_strbuf *text);
/* The same with bytes from malloc, which it takes in any case. */
actune_status at_export_add_bytes(at_export_job *job, const char *path, char *bytes, size_t size);

/* What the files are made of. */
actune_status at_export_write_header(at_export_job *job);   /* header.c */
actune_status at_export_write_library(at_export_job *job);  /* library.c: the dispatcher */
actune_status at_export_write_kernels(at_export_job *job);  /* kernels.c: one file an instruction set */
actune_status at_export_write_support(at_export_job *job);  /* sources.c: what is compiled in, and the names it gets */
actune_status at_export_write_package(at_export_job *job);  /* package.c: pkg-config, CMake, README, Makefile */
actune_status at_export_write_manifest(at_export_job *job); /* manifest.c */
void at_export_c_string(at_strbuf *out, const void *bytes, size_t size);

/* build.c: files of the folder -> archive and shared library in it. */
actune_status at_export_build(at_export_job *job);

/* folder.c */
actune_status at_export_folder_open(at_export_job *job);   /* refuses what would be lost */
actune_status at_export_folder_fill(at_export_job *job);   /* all files */
actune_status at_export_folder_seal(at_export_job *job);   /* the list of checksums */
actune_status at_export_folder_commit(at_export_job *job); /* in place of the output */
void at_export_folder_discard(at_export_job *job);         /* no-op behind commit */

#endif
