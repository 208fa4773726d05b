/* Things in the cache that are no binaries: written to a work folder, sealed, renamed. */
#include "cpu_internal.h"

#include <stdio.h>
#include <stdlib.h>

enum { NAME_MAX_BYTES = 64, PATH_BYTES = 1024 };

static void name_of(const at_hash *key, const char *identity, char name[NAME_MAX_BYTES])
{
    snprintf(name, NAME_MAX_BYTES, "%s-%.*s.gen", key->hex, AT_IDENTITY_LENGTH, identity);
}

static actune_status write_in(at_cache *cache, const char *folder, const char *name, const at_bytes *bytes)
{
    char path[PATH_BYTES], target[PATH_BYTES];
    if (snprintf(path, sizeof path, "%s/kept", folder) >= (int)sizeof path)
        return at_fail(ACTUNE_IO, "%s: path too long", folder);
    AT_TRY(at_cache_path(cache, name, target, sizeof target));
    AT_TRY(at_file_write(path, bytes->data, bytes->size));
    AT_TRY(at_file_seal(path));
    if (rename(path, target) != 0)
        return at_fail(ACTUNE_IO, "%s cannot be put into the cache", target);
    at_cache_added(cache, name);
    return ACTUNE_OK;
}

actune_status at_cache_put(at_cache *cache, const at_hash *key, const char *identity, const void *data, size_t size)
{
    char folder[PATH_BYTES], name[NAME_MAX_BYTES];
    name_of(key, identity, name);
    AT_TRY(at_cache_work_open(cache, folder, sizeof folder));
    actune_status status = write_in(cache, folder, name, &(at_bytes){.data = (unsigned char *)data, .size = size});
    at_cache_work_close(folder);
    return status;
}

actune_status at_cache_get(const at_cache *cache, const at_hash *key, const char *identity, char **text, size_t *size)
{
    char path[PATH_BYTES], name[NAME_MAX_BYTES];
    at_bytes bytes;
    *text = NULL;
    *size = 0;
    name_of(key, identity, name);
    AT_TRY(at_cache_path(cache, name, path, sizeof path));
    AT_TRY(at_file_read(path, &bytes));
    if (!at_file_sealed(&bytes)) {
        free(bytes.data);
        return at_fail(ACTUNE_NOT_FOUND, "%s is damaged", path);
    }
    at_cache_touch(path);
    *size = at_file_unsealed_size(&bytes);
    *text = (char *)bytes.data;
    (*text)[*size] = '\0'; /* the seal's first byte */
    return ACTUNE_OK;
}
