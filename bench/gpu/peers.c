/* Ours and its peers on the same buffers in the same rounds, row by row. A row is a line of standard input, fields apart by tabs: class, spec,
   direction, type, then the extents outer, channels, inner (gpu_check.py rows makes them from the list). Where a peer has nothing like the row,
   a record says why.

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

/* Why an arm is missing. */
static void print_missing(const gpu_bench *bench, const gpu_race *race, const char *arm, const char *why)
{
    gpu_record(bench);
    gpu_text("row", race->row);
    gpu_text("regime", race->regime);
    gpu_integer("elements", race->elements);
    gpu_text("arm", arm);
    gpu_text("status", why);
    gpu_end();
}

/* cuMemcpy and plain copies of tensor x to y: what the row's bytes are measured against. */
static actune_status add_copies(gpu_bench *bench, gpu_race *race, const gpu_ports *ports)
{
    int64_t bytes = ports->elements * (int64_t)ports->element_bytes;
    AT_TRY(gpu_memcpy_add(bench, race, GPU_TO_Y, GPU_FROM_X, bytes));
    for (int s = 0; s < gpu_plain_shapes(); s++)
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
    } peers[] = {{"cuDNN activation", gpu_cudnn_add}, {"cuDNN graph", gpu_cudnn_graph_add}, {"cub::DeviceTransform", gpu_cub_add}};
    for (size_t i = 0; i < sizeof peers / sizeof *peers; i++) {
        int before = race->arms;
        gpu_why why = {"no memory"};
        peers[i].add(bench, race, row, ports, &why);
        if (race->arms == before)
            print_missing(bench, race, peers[i].name, why.text);
    }
}

static actune_status race_row(gpu_bench *bench, const gpu_ours *ours, const gpu_row *row)
{
    char name[256];
    gpu_ports ports;
    gpu_sets sets;
    size_t bytes[GPU_TENSORS_MAX] = {0};
    AT_TRY(gpu_ports_of(row, ours, &ports));
    for (int i = 0; i < ports.count; i++)
        if (ports.port[i].tensor >= 0)
            bytes[ports.port[i].tensor] = ports.port[i].bytes;
    bool cold = ports.moved_bytes > bench->l2_bytes / 2;
    snprintf(name, sizeof name, "%s\t%s\t%s\t%s", row->class, row->spec, row->direction == ACTUNE_BACKWARD ? "backward" : "forward",
             at_dtype_get(row->dtype)->name);
    gpu_race race = {.row = name, .regime = cold ? "cold" : "warm", .elements = ports.elements};
    AT_TRY(gpu_sets_make(bench, bytes, ports.tensors, cold, &sets));
    actune_status status = add_copies(bench, &race, &ports);
    if (status == ACTUNE_OK)
        status = add_ours(bench, &race, ours, row, &ports);
    if (status == ACTUNE_OK) {
        bool pushed;
        gpu_must(at_cuda_enter(bench->device, &pushed));
        add_peers(bench, &race, row, &ports);
        at_cuda_leave(bench->device, pushed);
        gpu_race_run(bench, &race, &sets);
    }
    gpu_race_close(&race);
    gpu_sets_free(bench, &sets);
    return status;
}

/* A row that fails is a record; the others go on. */
static bool run_line(gpu_bench *bench, const gpu_ours *ours, char *line)
{
    gpu_row row;
    if (!parse_row(line, &row)) {
        fprintf(stderr, "gpu_peers: a line of the rows is none: %s\n", line);
        return false;
    }
    if (race_row(bench, ours, &row) == ACTUNE_OK)
        return true;
    const gpu_race none = {.row = row.spec, .regime = "", .elements = row.shape.outer * row.shape.channels * row.shape.inner};
    print_missing(bench, &none, "ours", actune_last_error());
    return false;
}

int main(int argc, char **argv)
{
    gpu_options options;
    gpu_bench bench;
    gpu_ours ours;
    char line[512];
    bool well = true, late = false;
    gpu_options_read(argc, argv, "gpu_peers [--rounds N] [--seconds N] <rows", &options);
    gpu_open("peers", &bench);
    gpu_options_apply(&options, &bench);
    gpu_must(gpu_ours_open(&ours));
    double start = gpu_now_ns();
    while (fgets(line, sizeof line, stdin) != NULL) {
        late |= options.seconds > 0 && gpu_now_ns() - start > options.seconds * 1e9;
        if (late)
            fprintf(stderr, "gpu_peers: no time left for %s", line);
        else
            well = run_line(&bench, &ours, line) && well;
    }
    gpu_ours_close(&ours);
    gpu_close(&bench);
    return well ? EXIT_SUCCESS : EXIT_FAILURE;
}
