#include "batch_table.h"

#include <limits.h>
#include <stdlib.h>

static int plan_index(const actune_batch *batch, const actune_plan *plan)
{
    int p = 0;
    while (batch->plan[p] != plan)
        p++;
    return p;
}

static int64_t pieces_of(const at_batch_entry *entry)
{
    const int64_t elements = entry->rows * entry->row;
    return elements / entry->piece_elements + (elements % entry->piece_elements != 0);
}

static actune_status fill_entry(const actune_batch *batch, int m, const int *function, const at_batch_geometry *geometry, at_batch_entry *entry)
{
    const at_batch_member *member = &batch->member[m];
    const actune_shape shape = member->plan->launch.shape;
    const int elements = at_batch_piece_elements(&member->plan->kernel, geometry);
    if (shape.channels > INT_MAX)
        return at_fail(ACTUNE_UNSUPPORTED, "actune_batch_create: member %d: a CUDA kernel has at most 2^31 - 1 channels, not %lld", m,
                       (long long)shape.channels);
    *entry = (at_batch_entry){.rows = shape.outer,
                              .row = member->row,
                              .inner = shape.inner,
                              .channels = (int)shape.channels,
                              .function = function[plan_index(batch, member->plan)],
                              .piece_elements = elements,
                              .piece_bytes = elements * (int)member->weight};
    return ACTUNE_OK;
}

/* Members in order, a new launch where the next one's addresses do not fit. */
static void group(const actune_batch *batch, int pointers, at_batch_table *table)
{
    for (int m = 0; m < batch->members; m++) {
        const int ports = batch->member[m].plan->ports;
        at_batch_launch *last = table->launches > 0 ? &table->launch[table->launches - 1] : NULL;
        if (last == NULL || last->buffers + ports > pointers) {
            last = &table->launch[table->launches++];
            *last = (at_batch_launch){.first_member = m, .first_buffer = batch->member[m].first_buffer};
        }
        table->entry[m].first_buffer = last->buffers;
        last->members++;
        last->buffers += ports;
    }
}

/* One wave of blocks that all do the same number of pieces, or one less. */
static unsigned grid_of(const at_batch_table *table, const at_batch_launch *launch, int wave)
{
    int64_t pieces = 0;
    for (int m = 0; m < launch->members; m++)
        pieces += pieces_of(&table->entry[launch->first_member + m]);
    if (pieces <= wave)
        return (unsigned)pieces;
    const int64_t each = pieces / wave + (pieces % wave != 0);
    return (unsigned)(pieces / each + (pieces % each != 0));
}

/* Where the shares of equal bytes begin, as find_share of templates/cuda/batch_range cuts them. */
static void fill_places(const at_batch_table *table, const at_batch_launch *launch)
{
    const at_batch_entry *entry = &table->entry[launch->first_member];
    const int64_t grid = launch->grid;
    int64_t all = 0, before = 0;
    for (int m = 0; m < launch->members; m++)
        all += pieces_of(&entry[m]) * entry[m].piece_bytes;
    for (int64_t at = 0, m = 0; at <= grid; at++) {
        const int64_t wanted = all / grid * at + all % grid * at / grid;
        while (m < launch->members && wanted >= before + pieces_of(&entry[m]) * entry[m].piece_bytes)
            before += pieces_of(&entry[m]) * entry[m].piece_bytes, m++;
        table->place[launch->first_place + (size_t)at] =
            (at_batch_place){.member = (int)m, .piece = m < launch->members ? (wanted - before) / entry[m].piece_bytes : 0};
    }
}

static actune_status fill(const actune_batch *batch, const int *function, const at_batch_geometry *geometry, at_batch_table *table)
{
    for (int m = 0; m < batch->members; m++)
        AT_TRY(fill_entry(batch, m, function, geometry, &table->entry[m]));
    return ACTUNE_OK;
}

actune_status at_batch_table_make(const actune_batch *batch, const int *function, const at_batch_geometry *geometry, int pointers, int wave,
                                  at_batch_table *table)
{
    *table = (at_batch_table){.entry = calloc((size_t)batch->members, sizeof *table->entry),
                              .launch = calloc((size_t)batch->members, sizeof *table->launch)};
    if (table->entry == NULL || table->launch == NULL)
        return at_fail(ACTUNE_NO_MEMORY, "no memory for a batch of %d members", batch->members);
    AT_TRY(fill(batch, function, geometry, table));
    group(batch, pointers, table);
    for (int l = 0; l < table->launches; l++) {
        table->launch[l].grid = grid_of(table, &table->launch[l], wave);
        table->launch[l].first_place = table->places;
        table->places += (size_t)table->launch[l].grid + 1;
    }
    table->place = calloc(table->places, sizeof *table->place);
    if (table->place == NULL)
        return at_fail(ACTUNE_NO_MEMORY, "no memory for a batch of %d members", batch->members);
    for (int l = 0; l < table->launches; l++)
        if (table->launch[l].grid > 0)
            fill_places(table, &table->launch[l]);
    return ACTUNE_OK;
}

void at_batch_table_clear(at_batch_table *table)
{
    free(table->entry);
    free(table->place);
    free(table->launch);
    *table = (at_batch_table){0};
}
