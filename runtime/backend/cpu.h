/* CPU back end: source -> shared object in the cache -> function. */
#ifndef AT_BACKEND_CPU_H
#define AT_BACKEND_CPU_H

#include "../base/hash.h"
#include "../base/kernel_abi.h"
#include "../base/status.h"

typedef struct at_compiler {
    char path[512];    /* absolute */
    char version[128]; /* first line of --version */
    bool is_clang;
} at_compiler;

/* ACTUNE_CC if set, else clang, else gcc, else cc on PATH; probed once a process. NO_COMPILER with what to install. Thread-safe. */
actune_status at_compiler_get(const at_compiler **compiler);

/* The cache folder: `folder` or $XDG_CACHE_HOME/actune or ~/.cache/actune; created 0700; refused when it belongs to another user or
   others may write to it; size-limited (ACTUNE_CACHE_MAX_MB, 512) with the oldest used evicted. */
typedef struct at_cache at_cache;
actune_status at_cache_open(const char *folder, at_cache **cache);
void at_cache_close(at_cache *cache);
const char *at_cache_folder(const at_cache *cache);
/* It lies on a mount that forbids execution: nothing in it can be loaded. */
bool at_cache_is_noexec(const at_cache *cache);
/* Small things besides binaries, by a key and the identity of whoever made them (8 hex digits: another maker never sees them). Sealed, written
   atomically, evicted as binaries are. get: NOT_FOUND when there is none or it is damaged; `text` has a NUL behind `size` bytes, free it. */
actune_status at_cache_put(at_cache *cache, const at_hash *key, const char *identity, const void *data, size_t size);
actune_status at_cache_get(const at_cache *cache, const at_hash *key, const char *identity, char **text, size_t *size);

typedef struct at_binary at_binary; /* a loaded shared object, reference-counted */

typedef struct at_build_info {
    double compile_ms; /* 0: came from the cache */
    bool cached;
    char path[1024];
} at_build_info;

/* Compiles `source` for `march` ("x86-64-v4", "native" never; NULL the compiler's default) to <hash>.so, or takes it from the cache, and loads it. Key: source, compiler,
   flags, ABI. Errors: NO_COMPILER, COMPILE (the compiler's first lines; source kept beside as <hash>.c), IO (also: noexec mount,
   full disk), BUSY/timeouts say how long. `no_compile`: cache only, NOT_FOUND. Thread-safe; many processes may compile the same. */
actune_status at_binary_build(at_cache *cache, const char *source, const char *march, bool no_compile, at_binary **binary, at_build_info *info);
void at_binary_release(at_binary *binary);
/* NULL when the symbol is missing. */
actune_kernel_fn at_binary_symbol(const at_binary *binary, const char *symbol);
/* Size in bytes of the symbol's machine code and a hash of it (identical variants are measured once); 0 when unknown. */
size_t at_binary_code(const at_binary *binary, const char *symbol, at_hash *hash);

#endif
