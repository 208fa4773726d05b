/* export_neon FOLDER: generates kernels for AArch64 on the host, with inputs and the intervals that MPFR allows:
   kernels.c, symbols.c, cases.bin. test_neon.sh compiles them with the cross compiler and runs them under qemu. */
#include "../conformance/conformance.inc"

#include "cases.h"

enum { STRIDE = 61 }; /* every 61st input of the conformance sample: qemu is slow */

static FILE *open_in(const char *folder, const char *name)
{
    char path[4096];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *file = fopen(path, "wb");
    if (!file) {
        perror(path);
        exit(1);
    }
    return file;
}

static void interval(const oracle_op *op, actune_dtype dtype, bool backward, double x, long double exact, double *low, double *high)
{
    bool passes_nan = backward && (op->kind == ORACLE_PIECEWISE || op->kind == ORACLE_EXPM1); /* as in conformance.inc */
    if (isnan(x) && !passes_nan) {
        *low = *high = NAN;
        return;
    }
    if (isnan(x) || isnan((double)exact) || (isinf(x) && op->nan_at_infinity)) {
        *low = 1, *high = -1;
        return;
    }
    double bound = allowed(op, dtype, AT_ACCURACY_STANDARD, backward, x, (double)exact);
    *low = (double)exact - bound;
    *high = (double)exact + bound;
    if (exact + bound >= largest(dtype))
        *high = INFINITY;
    if (exact - bound <= -largest(dtype))
        *low = -INFINITY;
}

static void write_case(FILE *out, const oracle_op *op, const at_kernel *kernel, const sample *s_in, const char *symbol, const char *variant)
{
    const at_signature *s = &kernel->signature;
    bool backward = s->direction == ACTUNE_BACKWARD;
    neon_case c = {.magic = NEON_MAGIC, .dtype = (int32_t)s->dtype_in, .bytes = at_dtype_get(s->dtype_in)->bytes, .ports = s->ports,
                   .x_port = -1, .dy_port = -1, .count = s_in->count};
    snprintf(c.symbol, sizeof c.symbol, "%s", symbol);
    snprintf(c.what, sizeof c.what, "%s %s %.40s", op->name, backward ? "backward" : "forward", variant);
    for (int p = 0; p < s->ports; p++) {
        c.x_port = strcmp(s->port[p].name, "x") ? c.x_port : p;
        c.dy_port = strcmp(s->port[p].name, "dy") ? c.dy_port : p;
    }
    fwrite(&c, sizeof c, 1, out);
    fwrite(s_in->x, (size_t)c.bytes, (size_t)c.count, out);
    for (int side = 0; side < 2; side++)
        for (int64_t i = 0; i < c.count; i++) {
            double bound[2];
            interval(op, s->dtype_in, backward, at_dtype_load(s->dtype_in, s_in->x, i), s_in->exact[i], &bound[0], &bound[1]);
            fwrite(&bound[side], sizeof *bound, 1, out);
        }
}

static void export_kernel(const oracle_op *op, actune_dtype dtype, bool backward, FILE *cases, FILE *symbols, at_strbuf *source)
{
    static at_spec spec;
    static at_kernel kernel;
    static variant_list list;
    static at_generate_item items[VARIANTS_MAX];
    at_target target = {.isa = AT_ISA_NEON};
    at_kernel_request request = {backward ? ACTUNE_BACKWARD : ACTUNE_FORWARD, dtype, dtype, NULL, 0};
    list = (variant_list){0};
    if (at_spec_parse(op->name, &spec) || at_kernel_lower(&spec, &request, &kernel) ||
        at_variant_each(&kernel, AT_LAYOUT_FLAT, &target, collect, &list)) {
        fail("%s: %s", op->name, actune_last_error());
        return;
    }
    for (int i = 0; i < list.count; i++)
        items[i] = (at_generate_item){.kernel = &kernel, .layout = AT_LAYOUT_FLAT, .variant = &list.variant[i]};
    if (at_generate_batch(items, list.count, &target, source))
        fail("%s: %s", op->name, actune_last_error());
    sample inputs;
    make_sample(op, dtype, backward, &inputs);
    for (int i = 0; i < list.count; i++) {
        at_strbuf text = {0};
        at_variant_print(&list.variant[i], &text);
        if (items[i].symbol[0]) {
            fprintf(symbols, "%s\n", items[i].symbol);
            write_case(cases, op, &kernel, &inputs, items[i].symbol, at_strbuf_text(&text));
        }
        at_strbuf_clear(&text);
    }
    free(inputs.x);
    free(inputs.exact);
    at_kernel_clear(&kernel);
    at_spec_clear(&spec);
}

int main(int argc, char **argv)
{
    if (argc != 2) {
        fputs("usage: export_neon FOLDER\n", stderr);
        return 2;
    }
    FILE *cases = open_in(argv[1], "cases.bin"), *symbols = open_in(argv[1], "symbols.txt");
    int units = 0;
    stride = STRIDE;
    for (int i = 0; i < oracle_op_count; i++)
        for (int d = 0; d < AT_DTYPE_WIDE_COUNT; d++) {
            /* A translation unit each: kernels of one unit share their fragments. */
            for (int backward = 0; backward < 2; backward++) {
                at_strbuf source = {0};
                char name[32];
                export_kernel(&oracle_ops[i], (actune_dtype)d, backward, cases, symbols, &source);
                snprintf(name, sizeof name, "kernels%03d.c", units++);
                FILE *out = open_in(argv[1], name);
                fputs(at_strbuf_text(&source), out);
                fclose(out);
                at_strbuf_clear(&source);
            }
        }
    (void)run_conformance;
    return fclose(cases) || fclose(symbols) || failures;
}
