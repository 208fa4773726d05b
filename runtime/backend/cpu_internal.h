/* Shared by the files of the CPU back end; not for others. */
#ifndef AT_BACKEND_CPU_INTERNAL_H
#define AT_BACKEND_CPU_INTERNAL_H

#include "../base/strbuf.h"
#include "cpu.h"
#include <stdbool.h>
#include <sys/types.h>

/* cpu_child.c */
typedef struct at_child_options {
    double limit_s;           /* the whole process group is killed then */
    size_t output_max;        /* bytes of stdout + stderr kept; the rest is read and dropped */
    const char *temp_folder;  /* TMPDIR of the child; NULL: none */
    const char *folder;       /* its working directory; NULL: the caller's */
} at_child_options;

typedef struct at_child_result {
    at_strbuf output;
    int exit_code; /* -1 when a signal ended it */
    int signal;
    bool timed_out;
    bool unknown;  /* the host ignores SIGCHLD or reaped the child itself: judge by what the child made */
    double elapsed_s;
} at_child_result;

/* Runs argv[0] (an absolute path; NULL-terminated vector, no shell) in its own process group with stdin from /dev/null and an
   environment of PATH, HOME, LD_LIBRARY_PATH and LC_ALL=C alone. OK when it ran, however it ended. Clear result->output. */
actune_status at_child_run(const char *const *argv, const at_child_options *options, at_child_result *result);
/* "exit status 1", "killed by signal 11 (Segmentation fault)", "stopped after 60 s". */
void at_child_describe(const at_child_result *result, char *text, size_t size);
bool at_child_succeeded(const at_child_result *result);

/* cpu_compiler.c */
enum { AT_PROGRAM_PATH_MAX = 512, AT_IDENTITY_LENGTH = 8 };
/* Finds `name` on PATH (absolute entries only), or takes a path as it is; false when there is no such program. */
bool at_program_find(const char *name, char path[AT_PROGRAM_PATH_MAX]);
/* What the cache knows a compiler by, without starting it: a hash of its path, size and time of change. */
void at_program_identity(const char *path, char identity[AT_IDENTITY_LENGTH + 1]);
/* The compiler that at_compiler_get will most likely settle on, without starting it. */
bool at_compiler_locate(char path[AT_PROGRAM_PATH_MAX]);
double at_compile_limit_s(void); /* ACTUNE_COMPILE_TIMEOUT_S, else 60 */

/* cpu_compile.c */
enum { AT_FLAGS_MAX = 24 };
/* What to ask the compiler for; argument texts live in `march_text` or are static. INVALID_ARGUMENT for a bad march. */
typedef struct at_flags {
    const char *flag[AT_FLAGS_MAX];
    int count;
    char march_text[64];
} at_flags;
actune_status at_flags_for(const char *march, at_flags *flags);
/* source -> `target` (a file in the cache folder, put there by rename). `kept` is where the source stays when that fails. */
typedef struct at_compile_job {
    at_cache *cache;
    const at_compiler *compiler;
    const at_flags *flags;
    const char *source;
    const char *target, *kept;
} at_compile_job;
actune_status at_compile(const at_compile_job *job);

/* cpu_cache.c */
actune_status at_cache_path(const at_cache *cache, const char *name, char *path, size_t size);
/* A private folder for one compilation, and its removal with all that is in it. */
actune_status at_cache_work_open(const at_cache *cache, char *path, size_t size);
void at_cache_work_close(const char *path);
/* A file of this name came in: counts it and evicts the least recently used ones when the limit is passed. */
void at_cache_added(at_cache *cache, const char *name);
void at_cache_touch(const char *path);
/* First file "<key>-*.so": a binary of this source by any compiler. */
bool at_cache_find_any(const at_cache *cache, const char *key, char *path, size_t size);

/* cpu_file.c: the seal (a hash appended to the file) tells damage of any kind before the loader maps the file. */
typedef struct at_bytes {
    unsigned char *data;
    size_t size;
} at_bytes;
/* IO with errno's text; NOT_FOUND when there is no such file. Free data with free. */
actune_status at_file_read(const char *path, at_bytes *bytes);
actune_status at_file_write(const char *path, const void *data, size_t size);
actune_status at_file_seal(const char *path);
bool at_file_sealed(const at_bytes *bytes);
size_t at_file_unsealed_size(const at_bytes *bytes); /* of a sealed file: without the seal */

/* cpu_elf.c */
size_t at_elf_code(const at_bytes *file, const char *symbol, at_hash *hash);

#endif
