#include "stats_read.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* As monitor/statistics.c writes them. */
static const char *const key_name[STATS_KEYS] = {"count", "fraction_nonpositive", "fraction_zero", "fraction_clipped", "nan", "inf", "mean",
                                                 "variance", "absmax", "channels", "dead_channels", "window"};

void stats_clear(stats_file *file)
{
    for (int i = 0; i < file->layers; i++) {
        free(file->layer[i].name);
        free(file->layer[i].spec);
        free(file->layer[i].device);
    }
    free(file->layer);
    *file = (stats_file){0};
}

/* NULL when memory is out. */
static stats_layer *layer_of(stats_file *file, const char *name)
{
    for (int i = 0; i < file->layers; i++)
        if (!strcmp(file->layer[i].name, name))
            return &file->layer[i];
    stats_layer *grown = realloc(file->layer, ((size_t)file->layers + 1) * sizeof *grown);
    char *copy = grown ? strdup(name) : NULL;
    if (grown)
        file->layer = grown;
    if (!copy)
        return NULL;
    grown[file->layers] = (stats_layer){.name = copy};
    return &grown[file->layers++];
}

static actune_status no_memory(void)
{
    return at_fail(ACTUNE_NO_MEMORY, "no memory for the layers");
}

static actune_status describe(stats_layer *layer, json_t *json)
{
    const char *spec = json_string_value(json_object_get(json, "spec")), *device = json_string_value(json_object_get(json, "device"));
    free(layer->spec);
    free(layer->device);
    layer->spec = spec ? strdup(spec) : NULL;
    layer->device = device ? strdup(device) : NULL;
    layer->in_place = json_is_true(json_object_get(json, "in_place"));
    layer->training = json_is_true(json_object_get(json, "training"));
    layer->is_input = json_is_true(json_object_get(json, "is_input"));
    return (spec && !layer->spec) || (device && !layer->device) ? no_memory() : ACTUNE_OK;
}

/* The layer before the last '/', what it is behind it. */
static actune_status take_value(void *user, const char *tag, double value)
{
    const char *slash = strrchr(tag, '/');
    for (int key = 0; slash && key < STATS_KEYS; key++) {
        if (strcmp(slash + 1, key_name[key]))
            continue;
        char *name = strndup(tag, (size_t)(slash - tag));
        stats_layer *layer = name ? layer_of(user, name) : NULL;
        free(name);
        if (!layer)
            return no_memory();
        layer->value[key] = value;
        layer->has[key] = true;
    }
    return ACTUNE_OK;
}

static actune_status take_text(void *user, const char *tag, const char *text)
{
    const char *slash = strrchr(tag, '/');
    if (!slash || strcmp(slash, "/layer"))
        return ACTUNE_OK;
    json_t *json = json_loads(text, 0, NULL);
    char *name = strndup(tag, (size_t)(slash - tag));
    stats_layer *layer = json && name ? layer_of(user, name) : NULL;
    actune_status status = layer ? describe(layer, json) : ACTUNE_OK; /* another program's text under that tag */
    free(name);
    json_decref(json);
    return status;
}

static actune_status take_line(stats_file *file, const char *path, int number, const char *line)
{
    json_error_t error;
    json_t *json = json_loads(line, 0, &error);
    const char *name = json_string_value(json_object_get(json, "layer"));
    if (!name) {
        actune_status status = json ? at_fail(ACTUNE_SYNTAX, "%s:%d: \"layer\" is missing", path, number)
                                    : at_fail(ACTUNE_SYNTAX, "%s:%d:%d: %s", path, number, error.column, error.text);
        json_decref(json);
        return status;
    }
    stats_layer *layer = layer_of(file, name);
    actune_status status = layer ? ACTUNE_OK : no_memory();
    for (int key = 0; layer && key < STATS_KEYS && json_object_get(json, "count"); key++) {
        json_t *value = json_object_get(json, key_name[key]);
        layer->has[key] = json_is_number(value);
        layer->value[key] = json_number_value(value);
    }
    if (layer && json_object_get(json, "spec"))
        status = describe(layer, json);
    json_decref(json);
    return status;
}

static actune_status read_lines(stats_file *file, const char *path, FILE *from)
{
    char *line = NULL;
    size_t capacity = 0;
    actune_status status = ACTUNE_OK;
    for (int number = 1; !status; number++) {
        ssize_t length = getline(&line, &capacity, from);
        if (length <= 0 || line[length - 1] != '\n') /* the last one is still being written */
            break;
        status = line[strspn(line, " \t\r\n")] ? take_line(file, path, number, line) : ACTUNE_OK;
    }
    free(line);
    return status;
}

/* Drops what has a name like a layer's but no count: other scalars of the same file. */
static void keep_layers(stats_file *file)
{
    int kept = 0;
    for (int i = 0; i < file->layers; i++) {
        stats_layer layer = file->layer[i];
        if (layer.has[STATS_COUNT]) {
            file->layer[i] = file->layer[kept];
            file->layer[kept++] = layer;
        }
    }
    for (int i = kept; i < file->layers; i++) {
        free(file->layer[i].name);
        free(file->layer[i].spec);
        free(file->layer[i].device);
    }
    file->layers = kept;
}

actune_status stats_read(const char *path, stats_file *file)
{
    *file = (stats_file){0};
    FILE *from = fopen(path, "rb");
    if (!from)
        return at_fail(ACTUNE_IO, "%s cannot be read: %s", path, strerror(errno));
    int first = getc(from);
    actune_status status = ACTUNE_OK;
    if (first == EOF && ferror(from)) {
        status = at_fail(ACTUNE_IO, "%s cannot be read: %s. Give a file of the folder", path, strerror(errno));
    } else if (first != EOF) {
        ungetc(first, from);
        stats_sink sink = {file, take_value, take_text};
        status = first == '{' ? read_lines(file, path, from) : stats_read_events(path, from, &sink);
    }
    fclose(from);
    if (status)
        return status;
    keep_layers(file);
    if (file->layers == 0)
        return at_fail(ACTUNE_NOT_FOUND, "%s has no statistics of a layer: actune_monitor_statistics writes them", path);
    return ACTUNE_OK;
}
