#include "generated.h"

#include <link.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { IDENTITY_DIGITS = 8 };

static pthread_once_t once = PTHREAD_ONCE_INIT;
static char build_identity[IDENTITY_DIGITS + 1]; /* "": unknown, then nothing is remembered */

/* Leaves the name of the object that holds this function in *user. */
static int find_self(struct dl_phdr_info *object, size_t size, void *user)
{
    (void)size;
    ElfW(Addr) here = (ElfW(Addr))(uintptr_t)&build_identity;
    for (int i = 0; i < object->dlpi_phnum; i++) {
        const ElfW(Phdr) *segment = &object->dlpi_phdr[i];
        if (segment->p_type == PT_LOAD && here - object->dlpi_addr - segment->p_vaddr < segment->p_memsz) {
            *(const char **)user = object->dlpi_name[0] != '\0' ? object->dlpi_name : "/proc/self/exe";
            return 1;
        }
    }
    return 0;
}

/* The file that this code was loaded from: a new build is another file, or another time. */
static void identify_build(void)
{
    const char *path = NULL;
    struct stat file;
    dl_iterate_phdr(find_self, &path);
    if (path == NULL || stat(path, &file) != 0)
        return;
    const int64_t facts[] = {(int64_t)file.st_dev, (int64_t)file.st_ino, file.st_size, file.st_mtim.tv_sec,
                             file.st_mtim.tv_nsec};
    memcpy(build_identity, at_hash_bytes(facts, sizeof facts).hex, IDENTITY_DIGITS);
}

/* All that decides the text. The hash of the kernel leaves the spec's wording out, the first comment of the source does
   not. */
static at_hash key_of(const at_kernel *kernel, at_layout layout, const at_target *target, const char *variant)
{
    at_strbuf text = {0};
    at_strbuf_printf(&text, "%s\n%s\n%s %s\n%s", kernel->hash.hex, kernel->spec, at_layout_name(layout),
                     at_isa_name(target->isa), variant != NULL ? variant : "default");
    if (target->cuda)
        at_strbuf_printf(&text, "\nsm_%d", target->cuda_arch);
    at_hash key = at_hash_text(at_strbuf_text(&text));
    at_strbuf_clear(&text);
    return key;
}

/* Record: symbol, source hash and variant, a line each, then the source. */
static bool read_record(char *record, at_generated *generated)
{
    char *line[3];
    for (int i = 0; i < 3; i++) {
        line[i] = record;
        record = strchr(record, '\n');
        if (record == NULL)
            return false;
        *record++ = '\0';
    }
    if (strlen(line[0]) >= sizeof generated->symbol || strlen(line[1]) != sizeof generated->source_hash.hex - 1)
        return false;
    strcpy(generated->symbol, line[0]);
    strcpy(generated->source_hash.hex, line[1]);
    at_strbuf_append(&generated->variant, line[2]);
    at_strbuf_append(&generated->source, record);
    return at_strbuf_status(&generated->variant) == ACTUNE_OK && at_strbuf_status(&generated->source) == ACTUNE_OK;
}

static bool recall(const at_cache *cache, const at_hash *key, at_generated *generated)
{
    char *record;
    size_t size;
    if (build_identity[0] == '\0' || at_cache_get(cache, key, build_identity, &record, &size) != ACTUNE_OK)
        return false;
    bool good = read_record(record, generated);
    free(record);
    if (!good)
        at_generated_clear(generated);
    return good;
}

/* A cache that cannot be written costs time, nothing else. */
static void remember(at_cache *cache, const at_hash *key, const at_generated *generated)
{
    at_strbuf record = {0};
    at_strbuf_printf(&record, "%s\n%s\n%s\n", generated->symbol, generated->source_hash.hex,
                     at_strbuf_text(&generated->variant));
    at_strbuf_append(&record, at_strbuf_text(&generated->source));
    if (build_identity[0] != '\0' && at_strbuf_status(&record) == ACTUNE_OK)
        at_cache_put(cache, key, build_identity, at_strbuf_text(&record), record.length);
    at_strbuf_clear(&record);
}

static actune_status generate(const at_kernel *kernel, at_layout layout, const at_target *target,
                              const at_variant *variant, at_generated *generated)
{
    at_generate_item item = {.kernel = kernel, .layout = layout, .variant = variant};
    AT_TRY(at_generate_batch(&item, 1, target, &generated->source));
    AT_TRY(item.status);
    memcpy(generated->symbol, item.symbol, sizeof generated->symbol);
    generated->source_hash = item.source_hash;
    at_variant_print(variant, &generated->variant);
    AT_TRY(at_strbuf_status(&generated->variant));
    return at_strbuf_status(&generated->source);
}

actune_status at_generated_get(at_cache *cache, const at_kernel *kernel, at_layout layout, const at_target *target,
                               const char *text, at_generated *generated)
{
    *generated = (at_generated){0};
    pthread_once(&once, identify_build);
    at_hash key = key_of(kernel, layout, target, text);
    if (recall(cache, &key, generated))
        return ACTUNE_OK;
    at_variant variant;
    at_arena arena = {0};
    actune_status status =
        text != NULL ? at_variant_parse(text, &arena, &variant) : at_variant_default(kernel, layout, target, &variant);
    if (status == ACTUNE_OK)
        status = generate(kernel, layout, target, &variant, generated);
    if (status == ACTUNE_OK)
        remember(cache, &key, generated);
    at_arena_clear(&arena);
    return status;
}

void at_generated_clear(at_generated *generated)
{
    at_strbuf_clear(&generated->source);
    at_strbuf_clear(&generated->variant);
    *generated = (at_generated){0};
}
