#include "recorded.h"

#include "runtime/base/dtype.h"

#include <stdlib.h>
#include <string.h>

static recorded_row *add_row(recorded *r)
{
    if (r->rows == r->capacity) {
        int capacity = r->capacity * 2 + 16;
        recorded_row *rows = realloc(r->row, (size_t)capacity * sizeof *rows);
        if (!rows)
            return NULL;
        r->row = rows;
        r->capacity = capacity;
    }
    return &r->row[r->rows++];
}

/* "bias,alpha" to the request's names. */
static actune_status split_gradients(at_arena *arena, const char *text, cli_request *kernel)
{
    char *names = at_arena_strdup(arena, text), *rest = names;
    if (!names)
        return at_fail(ACTUNE_NO_MEMORY, "out of memory");
    for (char *name; *text && (name = strsep(&rest, ",")) != NULL;) {
        if (kernel->gradients == CLI_GRADIENTS_MAX)
            return at_fail(ACTUNE_UNSUPPORTED, "more than %d gradients", CLI_GRADIENTS_MAX);
        kernel->gradient[kernel->gradients++] = name;
    }
    return ACTUNE_OK;
}

static actune_status describe(at_arena *arena, recorded_row *row)
{
    const at_store_request *request = &row->request;
    cli_request_init(&row->kernel);
    row->kernel.spec = request->spec;
    row->backward = !strcmp(request->direction, "backward");
    if (!at_dtype_find(request->dtype_in, &row->kernel.dtype_in) || !at_dtype_find(request->dtype_out, &row->kernel.dtype_out))
        return at_fail(ACTUNE_UNSUPPORTED, "%s or %s is no element type of this version", request->dtype_in, request->dtype_out);
    return split_gradients(arena, request->gradients, &row->kernel);
}

static actune_status take_row(void *user, const at_store_request *request)
{
    recorded *r = user;
    recorded_row *row = add_row(r);
    if (!row)
        return at_fail(ACTUNE_NO_MEMORY, "out of memory");
    *row = (recorded_row){.request = *request, .item = -1};
    const char **texts[] = {&row->request.device,   &row->request.spec,      &row->request.direction,
                            &row->request.dtype_in, &row->request.dtype_out, &row->request.gradients};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        *texts[i] = at_arena_strdup(&r->arena, *texts[i]);
        if (!*texts[i])
            return at_fail(ACTUNE_NO_MEMORY, "out of memory");
    }
    if (describe(&r->arena, row))
        row->skipped = at_arena_strdup(&r->arena, actune_last_error());
    return ACTUNE_OK;
}

actune_status recorded_read(const char *database, const char *device, recorded *out)
{
    at_store *store;
    AT_TRY(at_store_open(database, AT_STORE_READ, &store));
    actune_status status = at_store_each_request(store, device, take_row, out);
    at_store_close(store);
    return status;
}

actune_status recorded_drop(const char *database, const recorded_row *row)
{
    at_store *store;
    AT_TRY(at_store_open(database, AT_STORE_WRITE, &store));
    actune_status status = at_store_drop_request(store, &row->request);
    at_store_close(store);
    return status;
}

void recorded_clear(recorded *r)
{
    free(r->row);
    at_arena_clear(&r->arena);
    *r = (recorded){0};
}
