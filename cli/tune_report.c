#include "tune_report.h"

#include "runtime/base/dtype.h"
#include "runtime/cudnn_variant.h"
#include <stdlib.h>
#include <string.h>

static const char *dtype_text(const at_signature *signature)
{
    static char text[16];
    snprintf(text, sizeof text, signature->dtype_in == signature->dtype_out ? "%s" : "%s:%s",
             at_dtype_get(signature->dtype_in)->name, at_dtype_get(signature->dtype_out)->name);
    return text;
}

static const char *direction_text(const at_kernel *kernel)
{
    return kernel->signature.direction == ACTUNE_BACKWARD ? "backward" : "forward";
}

static const char *shape_text(actune_shape shape)
{
    static char text[80];
    if (shape.outer == 1 && shape.channels == 1)
        snprintf(text, sizeof text, "%s", cli_count(shape.inner));
    else
        snprintf(text, sizeof text, "%lldx%lldx%lld", (long long)shape.outer, (long long)shape.channels, (long long)shape.inner);
    return text;
}

/* "cpu/elementwise width=64 ..." without the template, which the layout implies. Valid until the next call. */
static const char *knobs_text(const char *variant)
{
    static at_strbuf text;
    if (at_cudnn_is_variant(variant)) {
        at_strbuf_clear(&text);
        at_cudnn_describe(variant, &text);
        return at_strbuf_text(&text);
    }
    const char *space = strchr(variant, ' ');
    return space ? space + 1 : variant;
}

static void print_winners(const at_tune_item *items, const at_tune_result *results, int count)
{
    static const char *const headings[] = {"spec", "direction", "type", "shape", "winner", "time", "default/winner", "copy/winner"};
    cli_table *table = cli_table_new(headings, 8);
    for (int i = 0; i < count; i++) {
        const at_tune_result *r = &results[i];
        const at_kernel *kernel = items[i].kernel;
        if (r->status)
            cli_table_row(table, "%s\t%s\t%s\t%s\t%s", kernel->spec, direction_text(kernel), dtype_text(&kernel->signature),
                          shape_text(items[i].shape), *r->message ? r->message : actune_status_message(r->status));
        else
            cli_table_row(table, "%s\t%s\t%s\t%s\t%s%s\t%s\t%.2f\t%.2f", kernel->spec, direction_text(kernel),
                          dtype_text(&kernel->signature), shape_text(items[i].shape), knobs_text(r->variant),
                          r->reused ? " (stored)" : "", cli_duration(r->winner_ns), r->default_ns / r->winner_ns,
                          r->copy_ns / r->winner_ns);
    }
    cli_table_print(table, stdout);
}

static bool batch_is(const workload_row *row, int64_t batch)
{
    return batch == 0 || (row->rank > 0 && row->dim[0] == batch);
}

static bool row_wanted(const workload_row *row, const char *dtype, cli_tensor_layout layout, bool forward, bool backward, int64_t batch)
{
    cli_tensor_layout own;
    return (!dtype || !strcmp(row->dtype, dtype)) && (!layout || (cli_layout_find(row->layout, &own) && own == layout)) &&
           (forward == backward || backward == !strcmp(row->direction, "backward")) && batch_is(row, batch);
}

void workload_keep(workload *w, const actune_dtype *dtype, cli_tensor_layout layout, bool forward, bool backward, int64_t batch)
{
    workload kept = {.path = w->path}, rest = {0};
    kept.row = calloc((size_t)w->rows + 1, sizeof *kept.row);
    rest.row = calloc((size_t)w->rows + 1, sizeof *rest.row);
    if (!kept.row || !rest.row)
        abort();
    for (int i = 0; i < w->rows; i++) {
        bool wanted = row_wanted(&w->row[i], dtype ? at_dtype_get(*dtype)->name : NULL, layout, forward, backward, batch);
        workload *to = wanted ? &kept : &rest;
        to->row[to->rows++] = w->row[i];
    }
    free(w->row);
    workload_clear(&rest);
    *w = kept;
    workload_number(w);
}

/* One pass of one network: rows that agree in model, batch, dtype, layout and direction. */
typedef struct pass_total {
    const workload_row *first;
    int64_t layers, skipped;
    double ns[4]; /* default, tuned, auto-vectorised, copy */
    bool missing; /* a layer failed: the totals leave it out */
} pass_total;

static bool same_pass(const workload_row *a, const workload_row *b)
{
    return !strcmp(a->model, b->model) && a->dim[0] == b->dim[0] && !strcmp(a->dtype, b->dtype) &&
           !strcmp(a->layout, b->layout) && !strcmp(a->direction, b->direction);
}

static int sum_passes(const workload *work, const at_tune_result *results, pass_total *totals)
{
    int passes = 0;
    for (int i = 0; i < work->rows; i++) {
        const workload_row *row = &work->row[i];
        int p = 0;
        while (p < passes && !same_pass(totals[p].first, row))
            p++;
        if (p == passes)
            totals[passes++].first = row;
        pass_total *total = &totals[p];
        if (row->item < 0) {
            total->skipped += row->count;
            continue;
        }
        const at_tune_result *r = &results[row->item];
        total->missing |= r->status != ACTUNE_OK;
        if (r->status)
            continue;
        const double ns[4] = {r->default_ns, r->winner_ns, r->autovec_ns, r->copy_ns};
        total->layers += row->continued ? 0 : row->count;
        for (int k = 0; k < 4; k++)
            total->ns[k] += (double)row->count * ns[k];
    }
    return passes;
}

static void print_passes(const pass_total *totals, int passes)
{
    static const char *const headings[] = {"network", "first extent", "type", "layout", "direction", "layers", "auto-vectorised",
                                           "default", "tuned", "copy of the bytes"};
    cli_table *table = cli_table_new(headings, 10);
    for (int i = 0; i < passes; i++) {
        const pass_total *t = &totals[i];
        if (t->layers)
            cli_table_row(table, "%s\t%lld\t%s\t%s\t%s\t%lld\t%s\t%s\t%s\t%s%s", t->first->model, (long long)t->first->dim[0],
                          t->first->dtype, t->first->layout, t->first->direction, (long long)t->layers, cli_duration(t->ns[2]),
                          cli_duration(t->ns[0]), cli_duration(t->ns[1]), cli_duration(t->ns[3]),
                          t->missing ? " (layers without a winner left out)" : "");
    }
    printf("\nActivations of one pass (every layer as often as the network runs it):\n");
    cli_table_print(table, stdout);
}

/* Equal reasons once, with how many rows. */
static void print_skipped(const workload *work)
{
    for (int i = 0; i < work->rows; i++) {
        const workload_row *row = &work->row[i];
        int same = 0, before = 0;
        for (int k = 0; row->skipped && k < work->rows; k++)
            if (work->row[k].skipped && !strcmp(work->row[k].spec, row->spec) && !strcmp(work->row[k].skipped, row->skipped)) {
                same++;
                before += k < i;
            }
        if (same && !before)
            printf("skipped: %d row%s of '%s' (first at line %d): %s\n", same, same > 1 ? "s" : "", row->spec, row->line, row->skipped);
    }
}

static json_t *result_json(const at_tune_item *item, const at_tune_result *r)
{
    const at_kernel *k = item->kernel;
    return json_pack("{s:s, s:s, s:s, s:s, s:[I,I,I], s:s, s:s, s:f, s:f, s:f, s:f, s:[f,f], s:b, s:i, s:i, s:i, s:s, s:s}", "spec",
                     k->spec, "kernel", k->hash.hex, "direction", direction_text(k), "dtype", dtype_text(&k->signature), "shape",
                     (json_int_t)item->shape.outer, (json_int_t)item->shape.channels, (json_int_t)item->shape.inner, "layout",
                     r->workload.layout ? r->workload.layout : "", "variant", r->variant, "winner_ns", r->winner_ns, "default_ns",
                     r->default_ns, "copy_ns", r->copy_ns, "autovec_ns", r->autovec_ns, "gain_interval", r->gain_low, r->gain_high,
                     "reused", r->reused, "candidates", r->candidates, "failed", r->failed, "identical", r->identical, "status",
                     actune_status_name(r->status), "message", r->message);
}

static json_t *pass_json(const pass_total *t)
{
    return json_pack("{s:s, s:I, s:s, s:s, s:s, s:I, s:I, s:f, s:f, s:f, s:f, s:b}", "model", t->first->model, "batch",
                     (json_int_t)t->first->dim[0], "dtype", t->first->dtype, "layout", t->first->layout, "direction",
                     t->first->direction, "layers", (json_int_t)t->layers, "skipped", (json_int_t)t->skipped, "default_ns", t->ns[0],
                     "tuned_ns", t->ns[1], "autovec_ns", t->ns[2], "copy_ns", t->ns[3], "layers_failed", t->missing);
}

static int print_json(const at_tune_item *items, const at_tune_result *results, int count, const workload *work,
                      const pass_total *totals, int passes)
{
    json_t *root = json_pack("{s:[], s:[], s:[]}", "results", "passes", "skipped");
    for (int i = 0; i < count; i++)
        json_array_append_new(json_object_get(root, "results"), result_json(&items[i], &results[i]));
    for (int i = 0; i < passes; i++)
        json_array_append_new(json_object_get(root, "passes"), pass_json(&totals[i]));
    for (int i = 0; i < work->rows; i++)
        if (work->row[i].skipped)
            json_array_append_new(json_object_get(root, "skipped"),
                                  json_pack("{s:i, s:s, s:s}", "line", work->row[i].line, "spec", work->row[i].spec, "why",
                                            work->row[i].skipped));
    return cli_print_json(root);
}

int tune_report(const at_tune_item *items, const at_tune_result *results, int count, const workload *work, bool json)
{
    int failed = 0, reused = 0, open = 0;
    pass_total *totals = calloc((size_t)work->rows + 1, sizeof *totals);
    if (!totals)
        return cli_complain(CLI_FAILED, "out of memory");
    int passes = results ? sum_passes(work, results, totals) : 0;
    for (int i = 0; i < count; i++) {
        open += results[i].status == ACTUNE_INTERRUPTED;
        failed += results[i].status != ACTUNE_OK && results[i].status != ACTUNE_INTERRUPTED;
        reused += results[i].reused;
    }
    if (json) {
        int status = print_json(items, results, count, work, totals, passes);
        free(totals);
        return status ? status : failed + open ? CLI_FAILED : CLI_OK;
    }
    print_winners(items, results, count);
    if (work->rows) {
        print_passes(totals, passes);
        print_skipped(work);
    }
    printf("%d tuned, %d already in the database, %d failed", count - reused - failed - open, reused, failed);
    if (open)
        printf(", %d not reached: the same command goes on from here", open);
    putchar('\n');
    free(totals);
    return failed + open ? CLI_FAILED : CLI_OK;
}
