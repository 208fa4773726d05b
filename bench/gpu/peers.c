/* Ours and its peers on the same buffers in the same rounds, row by row. A row is a line of standard input, fields apart by tabs: class, spec,
   direction, type, then the extents outer, channels, inner (rows.py makes them from the list). Where a peer has nothing like the row,
   a record says why; a last record says that the row is done.

   gpu_peers [--rounds N] [--seconds N] <rows     JSON Lines on standard output */
#include "options.h"
#include "peers.h"
#include "plain.h"
#include "runtime/base/dtype.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool parse_row(char *line, gpu_row *row)
{
    char *field[7];
    int fields = 0;
    *row = (gpu_row){0};
    line[strcspn(line, "\n")] = '\0';
    for (char *part = strtok(line, "\t"); part != NULL && fields < 7; part = strtok(NULL, "\t"))
        field[fields++] = part;
    if (fields != 7)
        return false;
    snprintf(row->class, sizeof row->class, "%s", field[0]);
    snprintf(row->spec, sizeof row->spec, "%s", field[1]);
    row->direction = strcmp(field[2], "backward") == 0 ? ACTUNE_BACKWARD : ACTUNE_FORWARD;
    row->shape = (actune_shape){atoll(field[4]), atoll(field[5]), atoll(field[6])};
    return at_dtype_find(field[3], &row->dtype) && row->shape.outer > 0 && row->shape.channels > 0 && row->shape.inner > 0;
}

/* cuMemcpy and plain copies of tensor x to y: what the row's bytes are measured against. */
static actune_status add_copies(gpu_bench *bench, gpu_race *race, const gpu_ports *ports)
{
    int64_t bytes = ports->elements * (int64_t)ports->element_bytes;
    AT_TRY(gpu_memcpy_add(bench, race, GPU_TO_Y, GPU_FROM_X, bytes));
    for (int s = 0; s < gpu_plain_shapes(bench); s++)
        AT_TRY(gpu_plain_add(bench, race, GPU_COPY, s, bytes / 16 * 16));
    return ACTUNE_OK;
}

static actune_status add_ours(gpu_bench *bench, gpu_race *race, const gpu_ours *ours, const gpu_row *row, const gpu_ports *ports)
{
    AT_TRY(gpu_ours_add(bench, race, "ours", ours->tuned, row, ports));
    AT_TRY(gpu_ours_add(bench, race, "ours again", ours->tuned, row, ports));
    return gpu_ours_add(bench, race, "ours untuned", ours->untuned, row, ports);
}

static void add_peers(gpu_bench *bench, gpu_race *race, const gpu_row *row, const gpu_ports *ports)
{
    static const struct {
        const char *name;
        void (*add)(gpu_bench *, gpu_race *, const gpu_row *, const gpu_ports *, gpu_why *);
    } peers[] = {{"cuDNN", gpu_cudnn_add}, {"cub::DeviceTransform", gpu_cub_add}};
    for (size_t i = 0; i < sizeof peers / sizeof *peers; i++) {
        int before = race->arms;
        gpu_why why = {"no memory"};
        peers[i].add(bench, race, row, ports, &why);
        if (race->arms == before)
            gpu_race_miss(bench, race, peers[i].name, why.text);
    }
}

static actune_status run_race(gpu_bench *bench, const gpu_ours *ours, const gpu_row *row, const gpu_ports *ports, gpu_race *race)
{
    gpu_sets sets;
    size_t bytes[GPU_TENSORS_MAX] = {0};
    bool pushed;
    for (int i = 0; i < ports->count; i++)
        if (ports->port[i].tensor >= 0)
            bytes[ports->port[i].tensor] = ports->port[i].bytes;
    bool cold = strcmp(race->regime, "cold") == 0;
    if (!gpu_sets_fit(bench, bytes, ports->tensors, cold)) {
        gpu_race_miss(bench, race, "ours", actune_last_error());
        return ACTUNE_OK; /* no other call would find more memory */
    }
    AT_TRY(add_copies(bench, race, ports));
    if (!cold)
        AT_TRY(gpu_empty_add(bench, race));
    AT_TRY(add_ours(bench, race, ours, row, ports));
    AT_TRY(gpu_sets_make(bench, bytes, ports->tensors, cold, &sets));
    actune_status status = at_cuda_enter(bench->device, &pushed);
    if (status == ACTUNE_OK) {
        add_peers(bench, race, row, ports);
        at_cuda_leave(bench->device, pushed);
        status = gpu_race_run(bench, race, &sets);
    }
    gpu_sets_free(bench, &sets);
    return status;
}

static actune_status race_row(gpu_bench *bench, const gpu_ours *ours, const gpu_row *row)
{
    gpu_ports ports;
    AT_TRY(gpu_ports_of(row, ours, &ports));
    gpu_race race = {.class = row->class, .row = gpu_row_name(row), .regime = ports.moved_bytes > bench->l2_bytes / 2 ? "cold" : "warm",
                     .elements = ports.elements, .dtype = row->dtype};
    actune_status status = run_race(bench, ours, row, &ports, &race);
    gpu_race_close(&race);
    return status;
}

static void print_done(const gpu_bench *bench, const gpu_row *row)
{
    gpu_record(bench);
    gpu_text("row", gpu_row_name(row));
    gpu_integer("done", 1);
    gpu_end();
}

/* A row that fails is a record; the others go on. */
static bool run_line(gpu_bench *bench, const gpu_ours *ours, char *line)
{
    gpu_row row;
    if (!parse_row(line, &row)) {
        fprintf(stderr, "gpu_peers: a line of the rows is none: %s\n", line);
        return false;
    }
    actune_status status = race_row(bench, ours, &row);
    if (status == ACTUNE_OK) {
        print_done(bench, &row);
        return true;
    }
    const gpu_race none = {.class = row.class, .row = gpu_row_name(&row), .regime = "",
                           .elements = row.shape.outer * row.shape.channels * row.shape.inner};
    gpu_race_miss(bench, &none, "ours", actune_last_error());
    return false;
}

/* False when a row failed. */
static bool run_lines(gpu_bench *bench, const gpu_ours *ours, double seconds)
{
    char line[512];
    bool well = true;
    double start = gpu_now_ns();
    while (fgets(line, sizeof line, stdin) != NULL) {
        if (seconds > 0 && gpu_now_ns() - start > seconds * 1e9) {
            fputs("gpu_peers: no time left for further rows\n", stderr);
            break;
        }
        well = run_line(bench, ours, line) && well;
    }
    return well;
}

int main(int argc, char **argv)
{
    gpu_options options;
    gpu_bench bench;
    gpu_ours ours;
    gpu_options_read(argc, argv, "gpu_peers [--rounds N] [--seconds N] <rows", &options);
    int exit_status = gpu_open("peers", &bench);
    if (exit_status != 0)
        return exit_status;
    gpu_options_apply(&options, &bench);
    actune_status status = gpu_ours_open(&ours);
    bool well = status == ACTUNE_OK && run_lines(&bench, &ours, options.seconds);
    gpu_ours_close(&ours);
    gpu_cudnn_close(&bench);
    exit_status = gpu_finish(&bench, status);
    return well ? exit_status : EXIT_FAILURE;
}
