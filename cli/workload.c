#include "workload.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

void workload_clear(workload *w)
{
    for (int i = 0; i < w->rows; i++) {
        workload_row *row = &w->row[i];
        char *texts[] = {row->model, row->layer, row->spec, row->direction, row->dtype, row->layout, row->skipped};
        for (size_t t = 0; t < sizeof texts / sizeof *texts; t++)
            free(texts[t]);
        if (row->kernel)
            at_kernel_clear(row->kernel);
        free(row->kernel);
    }
    free(w->row);
    *w = (workload){0};
}

static actune_status read_shape(json_t *shape, workload_row *row)
{
    row->rank = (int)json_array_size(shape);
    if (!json_is_array(shape) || row->rank < 1 || row->rank > CLI_RANK_MAX)
        return at_fail(ACTUNE_SYNTAX, "\"shape\" must be an array of 1 to %d numbers", CLI_RANK_MAX);
    for (int i = 0; i < row->rank; i++) {
        json_t *extent = json_array_get(shape, (size_t)i);
        row->dim[i] = json_integer_value(extent);
        if (!json_is_integer(extent) || row->dim[i] < 0)
            return at_fail(ACTUNE_SYNTAX, "\"shape\" must hold whole numbers >= 0");
    }
    return ACTUNE_OK;
}

static actune_status read_row(const char *text, workload_row *row)
{
    json_error_t error;
    json_t *json = json_loads(text, JSON_REJECT_DUPLICATES, &error);
    if (!json)
        return at_fail(ACTUNE_SYNTAX, "column %d: %s", error.column, error.text);
    const char *model = "", *layer = "", *spec = NULL, *direction = "forward", *dtype = "f32", *layout = "nchw";
    json_t *shape = NULL;
    long long count = 1;
    actune_status status = ACTUNE_OK;
    if (json_unpack_ex(json, &error, 0, "{s?s, s?s, s:s, s?s, s?s, s?s, s:o, s?I}", "model", &model, "layer", &layer, "spec",
                       &spec, "direction", &direction, "dtype", &dtype, "layout", &layout, "shape", &shape, "count", &count))
        status = at_fail(ACTUNE_SYNTAX, "%s", error.text);
    else if (count < 1)
        status = at_fail(ACTUNE_SYNTAX, "\"count\" must be at least 1");
    else
        status = read_shape(shape, row);
    if (!status) {
        row->model = strdup(model);
        row->layer = strdup(layer);
        row->spec = strdup(spec);
        row->direction = strdup(direction);
        row->dtype = strdup(dtype);
        row->layout = strdup(layout);
        row->count = count;
    }
    json_decref(json);
    return status;
}

/* Lowers the row; what does not exist yet is noted as skipped. */
static actune_status lower_row(workload_row *row)
{
    cli_request request;
    cli_request_init(&request);
    request.spec = row->spec;
    bool backward = !strcmp(row->direction, "backward");
    if (!backward && strcmp(row->direction, "forward"))
        return at_fail(ACTUNE_SYNTAX, "\"direction\" is '%s'; it must be forward or backward", row->direction);
    if (!cli_layout_find(row->layout, &request.layout))
        return at_fail(ACTUNE_SYNTAX, "\"layout\" is '%s'; it must be nchw, nhwc or rows", row->layout);
    if (!cli_parse_dtypes(row->dtype, &request.dtype_in, &request.dtype_out)) {
        if (asprintf(&row->skipped, "dtype %s does not exist", row->dtype) < 0)
            row->skipped = NULL;
        return ACTUNE_OK;
    }
    request.dtype_pair = strchr(row->dtype, ':') != NULL;
    row->kernel = calloc(1, sizeof *row->kernel);
    if (!row->kernel)
        return at_fail(ACTUNE_NO_MEMORY, "out of memory");
    actune_status status = cli_lower(&request, backward ? ACTUNE_BACKWARD : ACTUNE_FORWARD, row->kernel);
    if (status == ACTUNE_UNSUPPORTED) {
        const char *message = actune_last_error();
        row->skipped = strndup(message, strcspn(message, "\n"));
        at_kernel_clear(row->kernel);
        free(row->kernel);
        row->kernel = NULL;
        return ACTUNE_OK;
    }
    if (!status)
        status = cli_shape(row->dim, row->rank, request.layout, &row->kernel->signature, &row->shape);
    return status;
}

static bool same_item(const workload_row *a, const workload_row *b)
{
    return a->kernel && b->kernel && !strcmp(a->kernel->hash.hex, b->kernel->hash.hex) &&
           a->shape.outer == b->shape.outer && a->shape.channels == b->shape.channels && a->shape.inner == b->shape.inner &&
           a->shape.channels_last == b->shape.channels_last;
}

void workload_number(workload *w)
{
    int items = 0;
    for (int i = 0; i < w->rows; i++) {
        w->row[i].item = -1;
        if (!w->row[i].kernel)
            continue;
        for (int k = 0; k < i && w->row[i].item < 0; k++)
            if (same_item(&w->row[i], &w->row[k]))
                w->row[i].item = w->row[k].item;
        if (w->row[i].item < 0)
            w->row[i].item = items++;
    }
}

/* A kernel of several passes becomes a row for each of them. */
static actune_status split_passes(workload *w, int number)
{
    workload_row *row = &w->row[w->rows - 1];
    at_kernel *whole = row->kernel;
    int passes = whole->passes;
    workload_row *rows = realloc(w->row, (size_t)(w->rows + passes) * sizeof *rows);
    if (!rows)
        return at_fail(ACTUNE_NO_MEMORY, "out of memory");
    w->row = rows;
    row = &rows[w->rows - 1];
    for (int i = 1; i < passes; i++) {
        rows[w->rows] = *row;
        workload_row *next = &rows[w->rows++];
        next->line = number;
        next->continued = true;
        next->kernel = whole->pass[i].kernel;
        whole->pass[i].kernel = NULL;
        char **const texts[] = {&next->model, &next->layer, &next->spec, &next->direction, &next->dtype, &next->layout};
        for (size_t t = 0; t < sizeof texts / sizeof *texts; t++)
            if (*texts[t] && !(*texts[t] = strdup(*texts[t])))
                return at_fail(ACTUNE_NO_MEMORY, "out of memory");
    }
    row->kernel = whole->pass[0].kernel;
    whole->passes = 0;
    at_kernel_clear(whole);
    free(whole);
    return ACTUNE_OK;
}

static actune_status add_line(workload *w, const char *text, int number)
{
    if (!text[strspn(text, " \t\r\n")])
        return ACTUNE_OK;
    workload_row *rows = realloc(w->row, (size_t)(w->rows + 1) * sizeof *rows);
    if (!rows)
        return at_fail(ACTUNE_NO_MEMORY, "out of memory");
    w->row = rows;
    workload_row *row = &rows[w->rows++];
    *row = (workload_row){.line = number};
    actune_status status = read_row(text, row);
    if (!status)
        status = lower_row(row);
    if (!status && row->kernel && row->kernel->passes > 0)
        status = split_passes(w, number);
    return status ? at_fail_in(status, "%s:%d", w->path, number) : ACTUNE_OK;
}

actune_status workload_read(const char *path, workload *out)
{
    *out = (workload){.path = path};
    FILE *in = fopen(path, "r");
    if (!in)
        return at_fail(ACTUNE_IO, "%s: %s", path, strerror(errno));
    char *line = NULL;
    size_t capacity = 0;
    actune_status status = ACTUNE_OK;
    for (int number = 1; !status && getline(&line, &capacity, in) >= 0; number++)
        status = add_line(out, line, number);
    if (!status && ferror(in))
        status = at_fail(ACTUNE_IO, "%s could not be read", path);
    free(line);
    fclose(in);
    if (!status && out->rows == 0)
        status = at_fail(ACTUNE_SYNTAX, "%s holds no workload rows", path);
    if (!status)
        workload_number(out);
    return status;
}
