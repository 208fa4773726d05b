/* The parts of runtime/ and support/ that an exported library holds, as they are here, and the names that keep two libraries apart. */
#include "job.h"

#include "embedded.h"

#include <stdlib.h>
#include <string.h>

static bool ends_with(const char *text, const char *end)
{
    size_t length = strlen(text), last = strlen(end);
    return length >= last && strcmp(text + length - last, end) == 0;
}

static bool is_name(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_';
}

/* Parts for CUDA are left out of a library without it. */
static bool is_wanted(const at_export_job *job, const char *path)
{
    static const char *const cuda_alone[] = {"cuda", "expand", "codegen/", "backend/", "base/dtype", "base/arena", "base/strbuf"};
    for (size_t i = 0; !job->request->cuda && i < sizeof cuda_alone / sizeof *cuda_alone; i++)
        if (strstr(path, cuda_alone[i]) != NULL)
            return false;
    return true;
}

static actune_status write_source(at_export_job *job, const at_embedded *source)
{
    at_strbuf out = {0};
    if (ends_with(source->name, ".c")) {
        at_strbuf_append(&out, "#include \"");
        for (const char *slash = strchr(source->name, '/'); slash != NULL; slash = strchr(slash + 1, '/'))
            at_strbuf_append(&out, "../");
        at_strbuf_append(&out, "names.h\"\n");
    }
    at_strbuf_append(&out, source->text);
    const char *path = at_arena_printf(&job->arena, "src/%s", source->name);
    return path != NULL ? at_export_add_file(job, path, &out) : (at_strbuf_clear(&out), at_export_no_memory());
}

/* The names of functions: what begins as ours do and stands before a parenthesis. */
typedef struct name_list {
    char **name;
    int count, room;
} name_list;

static actune_status add_name(at_export_job *job, name_list *list, const char *text, size_t length)
{
    for (int i = 0; i < list->count; i++)
        if (strncmp(list->name[i], text, length) == 0 && list->name[i][length] == '\0')
            return ACTUNE_OK;
    AT_TRY(at_export_grow(&list->name, list->count, &list->room, sizeof *list->name));
    list->name[list->count] = at_arena_strndup(&job->arena, text, length);
    return list->name[list->count++] != NULL ? ACTUNE_OK : at_export_no_memory();
}

static actune_status collect_names(at_export_job *job, const char *text, name_list *list)
{
    for (const char *at = text; *at != '\0';) {
        size_t length = 0;
        while (is_name(at[length]))
            length++;
        bool ours = strncmp(at, "at_", 3) == 0 || strncmp(at, "actune_", 7) == 0;
        if (ours && at[length] == '(')
            AT_TRY(add_name(job, list, at, length));
        at += length > 0 ? length : 1;
    }
    return ACTUNE_OK;
}

static int by_text(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* "at_launch_run" becomes "mylib_at_launch_run". */
static actune_status write_names(at_export_job *job, const name_list *list)
{
    at_strbuf out = {0};
    const char *name = job->request->name;
    at_strbuf_printf(&out, "/* Every name that the linker sees begins with %s_, so that several exported libraries, and actune itself, go into one program. */\n",
                     name);
    at_strbuf_append(&out, "#ifndef _GNU_SOURCE\n#define _GNU_SOURCE\n#endif\n#define ACTUNE_API\n");
    for (int i = 0; i < list->count; i++)
        at_strbuf_printf(&out, "#define %s %s_%s\n", list->name[i], name, list->name[i]);
    return at_export_add_file(job, "src/names.h", &out);
}

actune_status at_export_write_support(at_export_job *job)
{
    name_list list = {0};
    actune_status status = ACTUNE_OK;
    for (int i = 0; i < at_export_source_count && status == ACTUNE_OK; i++) {
        const at_embedded *source = &at_export_sources[i];
        if (!is_wanted(job, source->name))
            continue;
        status = write_source(job, source);
        if (status == ACTUNE_OK && ends_with(source->name, ".c"))
            status = collect_names(job, source->text, &list);
    }
    if (status == ACTUNE_OK && list.count > 0) {
        qsort(list.name, (size_t)list.count, sizeof *list.name, by_text);
        status = write_names(job, &list);
    }
    free(list.name);
    return status;
}
