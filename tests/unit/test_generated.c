#include "runtime/generated.h"

#include <criterion/criterion.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char folder[128];

/* The path of the only remembered source; false when there is none. */
static bool find_record(char path[512])
{
    DIR *d = opendir(folder);
    int found = 0;
    for (struct dirent *e; (e = readdir(d)) != NULL;)
        if (strlen(e->d_name) > 4 && strcmp(e->d_name + strlen(e->d_name) - 4, ".gen") == 0) {
            snprintf(path, 512, "%s/%s", folder, e->d_name);
            found++;
        }
    closedir(d);
    cr_assert_leq(found, 1);
    return found == 1;
}

static void change_byte(const char *path, long at)
{
    FILE *file = fopen(path, "r+");
    fseek(file, at, SEEK_SET);
    int c = fgetc(file);
    fseek(file, at, SEEK_SET);
    fputc(c ^ 1, file);
    fclose(file);
}

Test(generated, remembered_and_never_believed_when_damaged)
{
    snprintf(folder, sizeof folder, "/tmp/actune-test-generated-%ld", (long)getpid());
    cr_assert_eq(mkdir(folder, 0700), 0);
    at_spec spec;
    at_kernel kernel;
    at_cache *cache;
    at_kernel_request request = {.direction = ACTUNE_FORWARD};
    at_target target = {.isa = at_isa_host()};
    cr_assert_eq(at_cache_open(folder, &cache), ACTUNE_OK);
    cr_assert_eq(at_spec_parse("clip(-1, 1)", &spec), ACTUNE_OK);
    cr_assert_eq(at_kernel_lower(&spec, &request, &kernel), ACTUNE_OK);

    at_generated first, again;
    char path[512];
    cr_assert(!find_record(path));
    cr_assert_eq(at_generated_get(cache, &kernel, AT_LAYOUT_FLAT, &target, NULL, &first), ACTUNE_OK, "%s",
                 actune_last_error());
    cr_assert(find_record(path));
    cr_assert_neq(strstr(at_strbuf_text(&first.source), first.symbol), NULL);
    struct stat file;
    cr_assert_eq(stat(path, &file), 0);
    for (long at = -1; at < file.st_size; at += 97) {
        if (at >= 0)
            change_byte(path, at); /* the record is then written again */
        cr_assert_eq(at_generated_get(cache, &kernel, AT_LAYOUT_FLAT, &target, NULL, &again), ACTUNE_OK);
        cr_assert_str_eq(at_strbuf_text(&first.source), at_strbuf_text(&again.source));
        cr_assert_str_eq(at_strbuf_text(&first.variant), at_strbuf_text(&again.variant));
        cr_assert_str_eq(first.symbol, again.symbol);
        cr_assert_str_eq(first.source_hash.hex, again.source_hash.hex);
        at_generated_clear(&again);
    }
    /* It is the record that answers: one that was sealed with another text in it gives that text. */
    cr_assert_eq(unlink(path), 0);
    char *name = strrchr(path, '/') + 1;
    at_hash key = {{0}};
    memcpy(key.hex, name, 32);
    char forged[256];
    snprintf(forged, sizeof forged, "sym\n%s\nvariant\nsource text\n", first.source_hash.hex);
    cr_assert_eq(at_cache_put(cache, &key, name + 33, forged, strlen(forged)), ACTUNE_OK);
    cr_assert_eq(at_generated_get(cache, &kernel, AT_LAYOUT_FLAT, &target, NULL, &again), ACTUNE_OK);
    cr_assert_str_eq(at_strbuf_text(&again.source), "source text\n");
    cr_assert_str_eq(again.symbol, "sym");
    at_generated_clear(&again);
    static const char *const broken[] = {"", "sym\n", "sym\nshort\nvariant\nsource",
                                         "a symbol of far more than thirty-one characters\n"};
    for (int i = 0; i < 4; i++) {
        cr_assert_eq(at_cache_put(cache, &key, name + 33, broken[i], strlen(broken[i])), ACTUNE_OK);
        cr_assert_eq(at_generated_get(cache, &kernel, AT_LAYOUT_FLAT, &target, NULL, &again), ACTUNE_OK);
        cr_assert_str_eq(at_strbuf_text(&first.source), at_strbuf_text(&again.source));
        at_generated_clear(&again);
    }
    cr_assert_neq(at_generated_get(cache, &kernel, AT_LAYOUT_FLAT, &target, "cpu/nonsuch", &again), ACTUNE_OK);
    at_generated_clear(&again);
    at_generated_clear(&first);
    at_kernel_clear(&kernel);
    at_spec_clear(&spec);
    at_cache_close(cache);
    char command[256];
    snprintf(command, sizeof command, "rm -rf '%s'", folder);
    cr_assert_eq(system(command), 0);
}
