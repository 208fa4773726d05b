/* topk against a stable sort: what is kept, what is 0, for every search, instruction set and type; ties, NaN, infinities, both zeros. */
#include "generated_run.h"

#include "codegen/row.h"
#include "runtime/backend/interp.h"
#include "runtime/launch.h"

/* --- the oracle: elements sorted by torch's order, of equals the first ones first --- */

static const double *sorted_keys;

static int by_rank(const void *a, const void *b)
{
    int64_t i = *(const int64_t *)a, j = *(const int64_t *)b;
    double x = sorted_keys[i], y = sorted_keys[j];
    if (isnan(x) != isnan(y))
        return isnan(x) ? -1 : 1;
    if (!isnan(x) && x != y)
        return x > y ? -1 : 1;
    return (i > j) - (i < j);
}

static void keep(const double *key, int64_t n, int64_t k, bool *kept)
{
    int64_t *order = malloc((size_t)n * sizeof *order + 1);
    for (int64_t i = 0; i < n; i++)
        order[i] = i;
    sorted_keys = key;
    qsort(order, (size_t)n, sizeof *order, by_rank);
    for (int64_t i = 0; i < n; i++)
        kept[order[i]] = i < k;
    free(order);
}

/* --- inputs --- */

typedef enum filling { NORMAL, TIES, EQUAL, ZEROS, NANS, RISING, FALLING, FILLINGS } filling;

static double element(filling of, int64_t i, int64_t n, uint64_t *state)
{
    static const double special[] = {0, -0.0, INFINITY, -INFINITY, NAN, -NAN, 1e-45, -1e-40, 65504, -65504, 1, -1};
    uint32_t draw = random_below(state, 1 << 16);
    switch (of) {
    case NORMAL: {
        double sum = 0;
        for (int j = 0; j < 6; j++)
            sum += random_below(state, 1 << 16) * 0x1p-16 - 0.5;
        return sum;
    }
    case TIES:
        return (int)(draw % 7) - 3;
    case EQUAL:
        return -1.5;
    case ZEROS:
        return draw % 3 == 0 ? 0.0 : draw % 3 == 1 ? -0.0 : draw % 5 == 0 ? 0.25 : -2;
    case NANS:
        return special[draw % 12];
    case RISING:
        return (double)i - (double)n / 2;
    default:
        return (double)n / 2 - (double)i;
    }
}

/* --- one kernel on one shape --- */

typedef struct wanted {
    const char *spec;
    actune_direction direction;
    actune_dtype dtype;
    double k; /* or a share */
    bool magnitude;
} wanted;

static const wanted kernels_wanted[] = {
    {"topk(0.1)", ACTUNE_FORWARD, ACTUNE_F32, 0.1, false},      {"topk(1)", ACTUNE_FORWARD, ACTUNE_F32, 1, false},
    {"topk(0.999999)", ACTUNE_FORWARD, ACTUNE_F32, 0.999999, false}, {"topk(0.6, by=magnitude)", ACTUNE_BACKWARD, ACTUNE_F32, 0.6, true},
    {"topk(0.3)", ACTUNE_FORWARD, ACTUNE_F64, 0.3, false},      {"topk(0.3)", ACTUNE_FORWARD, ACTUNE_F16, 0.3, false},
    {"topk(0.7, by=magnitude)", ACTUNE_FORWARD, ACTUNE_BF16, 0.7, true},
};
enum { KERNELS = sizeof kernels_wanted / sizeof *kernels_wanted };

static at_kernel lowered[KERNELS];

static void lower_all(void)
{
    for (int i = 0; i < KERNELS; i++) {
        at_spec spec;
        at_kernel_request request = {.direction = kernels_wanted[i].direction, .dtype_in = kernels_wanted[i].dtype, .dtype_out = kernels_wanted[i].dtype};
        cr_assert_eq(at_spec_parse(kernels_wanted[i].spec, &spec), ACTUNE_OK, "%s", actune_last_error());
        cr_assert_eq(at_kernel_lower(&spec, &request, &lowered[i]), ACTUNE_OK, "%s", actune_last_error());
        at_spec_clear(&spec);
    }
}

static int64_t kept_of(double k, int64_t n)
{
    int64_t count = k >= 1 ? (int64_t)k : llround(k * (double)n);
    return count < 1 ? 1 : count;
}

static void check_row(const wanted *w, const buffers *b, int64_t row, int64_t n, const char *what)
{
    double *key = malloc((size_t)n * sizeof *key + 1);
    bool *kept = malloc((size_t)n + 1);
    for (int64_t c = 0; c < n; c++) {
        key[c] = at_dtype_load(w->dtype, b->port[0], row * n + c);
        key[c] = w->magnitude ? fabs(key[c]) : key[c];
    }
    keep(key, n, kept_of(w->k, n), kept);
    for (int64_t c = 0; c < n; c++) {
        int value = w->direction == ACTUNE_BACKWARD ? 1 : 0;
        double want = kept[c] ? at_dtype_load(w->dtype, b->port[value], row * n + c) : 0;
        double got = at_dtype_load(w->dtype, b->port[value + 1], row * n + c);
        cr_assert(same_number(got, want), "%s: [%ld, %ld] is %.9g, not %.9g (key %.9g)", what, (long)row, (long)c, got, want, key[c]);
    }
    free(key);
    free(kept);
}

static void check_filling(const tested *t, const wanted *w, filling of, int64_t rows, int64_t n, int shift)
{
    actune_shape shape = {rows, n, 1};
    buffers b;
    at_launch launch;
    at_pool *pool;
    uint64_t state = (uint64_t)(n * FILLINGS + of);
    char what[700];
    snprintf(what, sizeof what, "%s, filling %d", t->function ? describe(t, "", shape) : w->spec, of);
    fill(&b, t->kernel, shape, shift, state + 1);
    for (int64_t i = 0; i < rows * n; i++)
        at_dtype_store(w->dtype, b.port[0], i, element(of, i % (n ? n : 1), n, &state));
    cr_assert_eq(at_launch_init(&launch, &t->kernel->signature, AT_LAYOUT_CHANNEL_INNER, shape, 3), ACTUNE_OK, "%s", actune_last_error());
    launch.function = t->function;
    launch.interpret = at_interpret;
    launch.interpret_kernel = t->kernel;
    void *workspace = malloc(launch.workspace_bytes + 1);
    memset(workspace, 0xff, launch.workspace_bytes);
    cr_assert_eq(at_pool_create(2, &pool), ACTUNE_OK);
    at_launch_run(&launch, pool, b.port, workspace);
    at_pool_destroy(pool);
    for (int64_t row = 0; row < rows; row++)
        check_row(w, &b, row, n, what);
    check_margins(&b, what);
    free(workspace);
    release(&b);
}

static const int64_t lengths[][2] = {{3, 1}, {5, 7}, {4, 8}, {3, 9}, {3, 17}, {2, 40}, {3, 100}, {2, 1000}, {3, 4097}, {1, 65536}, {0, 12}, {4, 0}};

static void check_all(const tested *t, const wanted *w)
{
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++)
        for (filling of = NORMAL; of < FILLINGS; of++) {
            bool f16_overflows = w->dtype == ACTUNE_F16 && of >= RISING && lengths[i][1] > 4096;
            if ((lengths[i][1] < 60000 || of == NORMAL || of == TIES) && !f16_overflows)
                check_filling(t, w, of, lengths[i][0], lengths[i][1], (int)(i + of));
        }
}

static void run_isa(at_isa isa, const char *compiler)
{
    static const char *const only[] = {"threads=1", "store=plain", NULL};
    int owner[ITEMS_MAX];
    all.count = 0;
    for (int i = 0; i < KERNELS; i++) {
        int first = all.count;
        all.seen = i;
        all.every = 5; /* width, unroll, ranked and search: coprime to all */
        add_variants(&lowered[i], AT_LAYOUT_CHANNEL_INNER, isa, only);
        for (int v = first; v < all.count; v++)
            owner[v] = i;
    }
    compile_all(compiler, isa);
    for (int v = 0; v < all.count; v++)
        check_all(&all.item[v], &kernels_wanted[owner[v]]);
}

/* The seventh kernel's narrow keys, ranks and packing meet every width the machine has. */
Test(topk, every_search_keeps_what_a_stable_sort_keeps, .timeout = 240)
{
    lower_all();
    for (at_isa isa = AT_ISA_GENERIC; isa <= at_isa_host(); isa++)
        if (isa != AT_ISA_X86_V2)
            run_isa(isa, isa == AT_ISA_X86_V3 ? "gcc" : "clang");
}

Test(topk, the_interpreter_keeps_the_same, .timeout = 60)
{
    lower_all();
    for (int i = 0; i < KERNELS; i++) {
        tested t = {&lowered[i], AT_LAYOUT_CHANNEL_INNER, {0}, NULL};
        check_all(&t, &kernels_wanted[i]);
    }
}

/* --- words --- */

static void check_text(const char *text, const char *canonical)
{
    at_spec spec;
    cr_assert_eq(at_spec_parse(text, &spec), ACTUNE_OK, "%s", actune_last_error());
    cr_assert_str_eq(spec.canonical, canonical);
    at_spec_clear(&spec);
}

static void check_refused(const char *text, actune_status status, const char *word)
{
    at_spec spec;
    cr_assert_eq(at_spec_parse(text, &spec), status, "%s", text);
    cr_assert(strstr(actune_last_error(), word), "%s: %s", text, actune_last_error());
}

Test(topk, spec)
{
    check_text("TopK( 32 )", "topk(32)");
    check_text("topk(k=0.1, by=MAGNITUDE) | clip(-1, 1)", "topk(0.1, by=magnitude) | clip(-1, 1)");
    check_text("bias | relu | topk(4, value)", "bias | relu | topk(4)");
    check_refused("topk", ACTUNE_SYNTAX, "missing argument 'k'");
    check_refused("topk(0)", ACTUNE_SYNTAX, "topk's k");
    check_refused("topk(-3)", ACTUNE_SYNTAX, "topk's k");
    check_refused("topk(2.5)", ACTUNE_SYNTAX, "whole number");
    check_refused("topk(3e9)", ACTUNE_SYNTAX, "topk's k");
    check_refused("topk(inf)", ACTUNE_SYNTAX, "'k' of topk must be finite");
    check_refused("topk(learn)", ACTUNE_SYNTAX, "'k' of topk is a constant");
    check_refused("topk(3, by=size)", ACTUNE_SYNTAX, "value or magnitude");
    check_refused("topk(3, 1)", ACTUNE_SYNTAX, "'1' is no by of topk");
    check_refused("topk(3) | gelu | topk(2)", ACTUNE_UNSUPPORTED, "behind topk no topk");
    check_refused("[from=output] relu | topk(3)", ACTUNE_SYNTAX, "from=output");
    check_refused("[from=output] topk(3) | relu", ACTUNE_SYNTAX, "from=output does not go with topk");
}

/* k is part of the identity, and so is how elements are ranked; a spelling is not. */
Test(topk, identity)
{
    static const char *const specs[] = {"topk(3)", "topk(4)", "topk(3, by=magnitude)", "topk(0.3)"};
    at_hash hash[4];
    for (int i = 0; i < 4; i++) {
        at_spec spec;
        at_kernel kernel;
        cr_assert_eq(at_spec_parse(specs[i], &spec), ACTUNE_OK);
        cr_assert_eq(at_kernel_lower(&spec, &(at_kernel_request){ACTUNE_FORWARD, ACTUNE_F32, ACTUNE_F32, NULL, 0}, &kernel), ACTUNE_OK);
        cr_assert_eq(kernel.signature.row.kind, AT_ROW_TOPK);
        hash[i] = kernel.hash;
        at_graph parsed;
        at_strbuf text = {0};
        at_graph_print(&kernel.graph, &text);
        cr_assert_eq(at_graph_parse(at_strbuf_text(&text), &parsed), ACTUNE_OK, "%s", actune_last_error());
        cr_assert_eq(parsed.nodes[at_row_find(&parsed)].value, kernel.signature.row.k);
        at_graph_clear(&parsed);
        at_strbuf_clear(&text);
        for (int j = 0; j < i; j++)
            cr_assert_str_neq(hash[i].hex, hash[j].hex);
        at_kernel_clear(&kernel);
        at_spec_clear(&spec);
    }
}

static void check_shape(const char *text, actune_shape shape, actune_status status, const char *word)
{
    at_spec spec;
    at_kernel kernel;
    at_launch launch;
    cr_assert_eq(at_spec_parse(text, &spec), ACTUNE_OK);
    cr_assert_eq(at_kernel_lower(&spec, &(at_kernel_request){ACTUNE_BACKWARD, ACTUNE_F32, ACTUNE_F32, NULL, 0}, &kernel), ACTUNE_OK);
    cr_assert_eq(at_launch_init(&launch, &kernel.signature, at_layout_of(&kernel.signature, shape), shape, 1), status, "%s", text);
    if (word)
        cr_assert(strstr(actune_last_error(), word), "%s", actune_last_error());
    at_kernel_clear(&kernel);
    at_spec_clear(&spec);
}

Test(topk, shapes)
{
    check_shape("topk(9)", (actune_shape){2, 8, 1}, ACTUNE_INVALID_ARGUMENT, "k is 9");
    check_shape("topk(8)", (actune_shape){2, 8, 1}, ACTUNE_OK, NULL);
    check_shape("topk(8)", (actune_shape){2, 0, 1}, ACTUNE_OK, NULL);
    check_shape("topk(8)", (actune_shape){0, 8, 1}, ACTUNE_OK, NULL);
    check_shape("topk(0.01)", (actune_shape){2, 8, 1}, ACTUNE_OK, NULL);
    check_shape("topk(2)", (actune_shape){2, 8, 5}, ACTUNE_UNSUPPORTED, "inner is 5");
}
