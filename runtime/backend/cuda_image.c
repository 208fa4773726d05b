/* A cached image is two files: `<key>-cuda0000.gen` says which NVRTC made it (version, file, size, time) and under which identity the code
   lies. So NVRTC, a library of 100 MB, is not loaded for a kernel that is there already. */
#include "cuda_image.h"

#include "../base/strbuf.h"
#include "nvrtc.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

enum { IDENTITY_DIGITS = 8, STAMP_BYTES = 900 };

static const char card_identity[] = "cuda0000";

void at_cuda_image_clear(at_cuda_image *image)
{
    free(image->code);
    *image = (at_cuda_image){0};
}

static at_hash key_of(const char *source, int arch)
{
    at_strbuf text = {0};
    at_strbuf_printf(&text, "cuda sm_%d\n", arch);
    at_strbuf_append(&text, source);
    at_hash key = at_hash_text(at_strbuf_text(&text));
    at_strbuf_clear(&text);
    return key;
}

/* "13.0 12345678 1700000000 /path/libnvrtc.so.13" */
static void write_stamp(int major, int minor, const char *path, char stamp[STAMP_BYTES])
{
    struct stat file = {0};
    if (stat(path, &file) != 0)
        file = (struct stat){0};
    snprintf(stamp, STAMP_BYTES, "%d.%d %lld %lld %.700s", major, minor, (long long)file.st_size, (long long)file.st_mtime, path);
}

/* Whether the NVRTC of this stamp is still there as it was, or there is none at all any more. */
static bool still_counts(const char *stamp)
{
    int major, minor, from = 0;
    const char *path;
    char now[STAMP_BYTES];
    if (sscanf(stamp, "%d.%d %*d %*d %n", &major, &minor, &from) != 2 || from == 0)
        return false;
    write_stamp(major, minor, stamp + from, now);
    if (strcmp(now, stamp) == 0)
        return true;
    if (at_nvrtc_version(&major, &minor, &path) != ACTUNE_OK)
        return true;
    write_stamp(major, minor, path, now);
    return strcmp(now, stamp) == 0;
}

static void identity_of(const char *stamp, char identity[IDENTITY_DIGITS + 1])
{
    at_hash hash = at_hash_text(stamp);
    memcpy(identity, hash.hex, IDENTITY_DIGITS);
    identity[IDENTITY_DIGITS] = '\0';
}

static void describe(at_cuda_image *image, const char *stamp, int arch)
{
    image->ptx = image->bytes < 4 || memcmp(image->code, "\177ELF", 4) != 0;
    snprintf(image->origin, sizeof image->origin, "NVRTC %.*s, %s for sm_%d", (int)strcspn(stamp, " "), stamp,
             image->ptx ? "PTX" : "cubin", arch);
}

actune_status at_cuda_image_recall(at_cache *cache, const char *source, int arch, at_cuda_image *image)
{
    char *stamp, identity[IDENTITY_DIGITS + 1];
    size_t size;
    *image = (at_cuda_image){0};
    if (cache == NULL)
        return at_fail(ACTUNE_NOT_FOUND, "there is no cache of compiled kernels");
    at_hash key = key_of(source, arch);
    AT_TRY(at_cache_get(cache, &key, card_identity, &stamp, &size));
    bool good = still_counts(stamp);
    identity_of(stamp, identity);
    actune_status status = good ? at_cache_get(cache, &key, identity, &image->code, &image->bytes)
                                : at_fail(ACTUNE_NOT_FOUND, "the cached kernel was made by another NVRTC");
    if (status == ACTUNE_OK)
        describe(image, stamp, arch);
    free(stamp);
    return status;
}

/* A cache that cannot be written costs time, nothing else. */
static void remember(at_cache *cache, const at_hash *key, const char *stamp, const at_cuda_image *image)
{
    char identity[IDENTITY_DIGITS + 1];
    identity_of(stamp, identity);
    if (cache != NULL && at_cache_put(cache, key, identity, image->code, image->bytes) == ACTUNE_OK)
        at_cache_put(cache, key, card_identity, stamp, strlen(stamp));
}

static actune_status translate(const char *source, int arch, at_nvrtc_output *output)
{
    actune_status status = at_nvrtc_compile(source, "kernel.cu", arch, true, output);
    int older;
    if (status != ACTUNE_UNSUPPORTED || at_nvrtc_newest(arch, &older) != ACTUNE_OK)
        return status;
    return at_nvrtc_compile(source, "kernel.cu", older, false, output);
}

static double now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return 1e3 * (double)now.tv_sec + 1e-6 * (double)now.tv_nsec;
}

actune_status at_cuda_image_compile(at_cache *cache, const char *source, int arch, at_cuda_image *image)
{
    at_nvrtc_output output;
    int major, minor;
    const char *path;
    char stamp[STAMP_BYTES];
    *image = (at_cuda_image){0};
    AT_TRY(at_nvrtc_version(&major, &minor, &path));
    double start = now_ms();
    AT_TRY(translate(source, arch, &output));
    image->compile_ms = now_ms() - start;
    image->code = output.code;
    image->bytes = output.bytes;
    output.code = NULL;
    at_nvrtc_output_clear(&output);
    write_stamp(major, minor, path, stamp);
    describe(image, stamp, arch);
    at_hash key = key_of(source, arch);
    remember(cache, &key, stamp, image);
    return ACTUNE_OK;
}
