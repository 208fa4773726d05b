#include "clang_api.h"

#include "../runtime/base/strbuf.h"
#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { OLDEST = 14, NEWEST = 22 };

static pthread_once_t once = PTHREAD_ONCE_INIT;
static at_clang_api loaded;
static bool found;
static char reason[1024]; /* why nothing was found */

static const struct {
    const char *symbol;
    size_t offset;
} symbols[] = {
#define AT_CX_SYMBOL(result, name, parameters) {"clang_" #name, offsetof(at_clang_api, name)},
    AT_CX_FUNCTIONS(AT_CX_SYMBOL)
#undef AT_CX_SYMBOL
};

/* "Debian clang version 14.0.6" -> "14.0.6" */
static void read_version(void)
{
    at_cx_string text = loaded.getClangVersion();
    const char *version = loaded.getCString(text);
    const char *digits = version ? strstr(version, "version ") : NULL;
    digits = digits ? digits + strlen("version ") : "";
    snprintf(loaded.version, sizeof loaded.version, "%.*s", (int)strspn(digits, "0123456789."), digits);
    loaded.disposeString(text);
}

static bool load_from(const char *name)
{
    void *library = dlopen(name, RTLD_NOW | RTLD_LOCAL);
    if (!library) {
        if (!reason[0])
            snprintf(reason, sizeof reason, "%s", dlerror());
        return false;
    }
    for (size_t i = 0; i < sizeof symbols / sizeof *symbols; i++) {
        void *address = dlsym(library, symbols[i].symbol);
        if (!address) {
            snprintf(reason, sizeof reason, "%s has no %s (libclang %d to %d are known to work)", name,
                     symbols[i].symbol, OLDEST, NEWEST);
            dlclose(library);
            return false;
        }
        memcpy((char *)&loaded + symbols[i].offset, &address, sizeof address);
    }
    read_version();
    return true;
}

static bool load_any(void)
{
    char name[64];
    /* From 19 down first, newer ones after: the tested range before what came later. */
    for (int step = 0; step <= NEWEST - OLDEST; step++) {
        int version = step <= 19 - OLDEST ? 19 - step : OLDEST + step;
        static const char *const patterns[] = {"libclang-%d.so.1",
                                               "libclang-%d.so",
                                               "libclang.so.%d",
                                               "/usr/lib/llvm-%d/lib/libclang.so.1",
                                               "/usr/lib/llvm-%d/lib/libclang.so",
                                               "/usr/lib/llvm%d/lib/libclang.so"};
        for (size_t i = 0; i < sizeof patterns / sizeof *patterns; i++) {
            snprintf(name, sizeof name, patterns[i], version);
            if (load_from(name))
                return true;
        }
    }
    return load_from("libclang.so.1") || load_from("libclang.so");
}

static void load(void)
{
    const char *chosen = getenv("ACTUNE_LIBCLANG");
    found = chosen && *chosen ? load_from(chosen) : load_any();
}

actune_status at_clang_load(const at_clang_api **api)
{
    pthread_once(&once, load);
    *api = found ? &loaded : NULL;
    if (found)
        return ACTUNE_OK;
    return at_fail(ACTUNE_NO_COMPILER,
                   "no libclang could be loaded, and C definitions are read through it (%s); install libclang1-14 or "
                   "newer, or set ACTUNE_LIBCLANG to the library's path",
                   reason);
}
