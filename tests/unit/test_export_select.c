/* Export: winners of a database -> variants and rows; and what an exported function makes of them. */
#include "codegen/variant.h"
#include "db/store.h"
#include "export/export.h"
#include "export/support/exported.h"
#include "isolated.h"
#include "runtime/device.h"

#include <stdlib.h>

TestSuite(export_select, .init = make_root, .fini = remove_root);

#define OK(call) cr_assert_eq((call), ACTUNE_OK, "%s", actune_last_error())

static at_kernel *lower(const char *text)
{
    at_spec spec;
    at_kernel *kernel = calloc(1, sizeof *kernel);
    at_kernel_request request = {.direction = ACTUNE_FORWARD, .dtype_in = ACTUNE_F32, .dtype_out = ACTUNE_F32};
    OK(at_spec_parse(text, &spec));
    OK(at_kernel_lower(&spec, &request, kernel));
    at_spec_clear(&spec);
    return kernel;
}

/* A winner in the database. `knobs`: set on the default variant, with blanks between; `stale`: another source hash. */
typedef struct winner {
    const char *knobs;
    int size;
    bool in_place, stale;
} winner;

static at_hash put_winner(at_store *store, const at_kernel *kernel, const at_device *device, const winner *w)
{
    at_target target = {.isa = device->isa};
    at_variant variant;
    at_strbuf text = {0}, source = {0};
    char knobs[128], *rest = NULL;
    OK(at_variant_default(kernel, AT_LAYOUT_FLAT, &target, &variant));
    snprintf(knobs, sizeof knobs, "%s", w->knobs);
    for (char *knob = strtok_r(knobs, " ", &rest); knob; knob = strtok_r(NULL, " ", &rest)) {
        char *equals = strchr(knob, '=');
        *equals = 0;
        OK(at_variant_set(&variant, knob, equals + 1));
    }
    at_generate_item item = {.kernel = kernel, .layout = AT_LAYOUT_FLAT, .variant = &variant};
    OK(at_generate_batch(&item, 1, &target, &source));
    OK(item.status);
    at_variant_print(&variant, &text);
    int64_t session, id;
    at_store_kernel row = {kernel->hash.hex, kernel->spec, "forward", "f32", "f32", "standard"};
    at_store_session run = {.device = device->id, .environment = "{}", .protocol = "{}", .seed = 1};
    at_store_variant stored = {.kernel = kernel->hash.hex, .source_hash = w->stale ? "00000000000000000000000000000000" : item.source_hash.hex,
                               .text = at_strbuf_text(&text)};
    OK(at_store_put_kernel(store, &row));
    OK(at_store_put_session(store, &run, &session));
    OK(at_store_put_variant(store, &stored, &id));
    at_store_choice choice = {.device = device->id, .kernel = kernel->hash.hex, .variant = id, .session = session, .median_ns = 123.5,
                              .workload = {"flat", w->size, 0, 0, w->in_place, "warm"}, .tie_set = "", .origin = "measured"};
    OK(at_store_put_choice(store, &choice));
    at_strbuf_clear(&text);
    at_strbuf_clear(&source);
    return item.source_hash;
}

static char *path_of(const char *name)
{
    static char paths[4][256];
    static int next;
    char *path = paths[next++ % 4];
    snprintf(path, sizeof paths[0], "%s/%s", root, name);
    return path;
}

static void write_text(const char *path, const char *text)
{
    FILE *file = fopen(path, "w");
    cr_assert(file && fputs(text, file) >= 0 && fclose(file) == 0);
}

static char *read_text(const char *path)
{
    static char text[1 << 16];
    FILE *file = fopen(path, "r");
    cr_assert(file != NULL, "%s", path);
    size_t length = fread(text, 1, sizeof text - 1, file);
    cr_assert_lt(length, sizeof text - 1);
    text[length] = 0;
    fclose(file);
    return text;
}

static void export_one(const char *spec, at_isa isa, const char *database, at_export_report *report)
{
    const char *specs[] = {spec};
    at_export_request request = {.name = "one", .specs = specs, .specs_count = 1, .dtypes = {{ACTUNE_F32, ACTUNE_F32}}, .dtypes_count = 1, .forward = true,
                                 .cpu = true, .isas = {isa}, .isas_count = 1, .database = database, .output = path_of("out"), .force = true,
                                 .sources_only = true};
    OK(at_export(&request, report));
}

/* The text of the variant that the row of this shape names; "" when there is no such row. */
static const char *variant_at(const char *manifest, bool in_place, int size)
{
    static char text[512];
    char wanted[128];
    snprintf(wanted, sizeof wanted, "\"in_place\": %s, \"log2_elements\": %d,", in_place ? "true" : "false", size);
    const char *row = strstr(manifest, wanted);
    if (!row)
        return "";
    cr_assert(row = strstr(row, "\"variant\": "));
    snprintf(wanted, sizeof wanted, "{\"number\": %d,", atoi(row + 11));
    const char *variant = strstr(manifest, wanted);
    cr_assert(variant != NULL && (variant = strstr(variant, "\"variant\": \"")) != NULL);
    snprintf(text, sizeof text, "%.*s", (int)strcspn(variant + 12, "\""), variant + 12);
    return text;
}

static void open_database(at_store **store, at_device *device)
{
    OK(at_device_get("cpu", device));
    OK(at_store_open(path_of("a.db"), AT_STORE_WRITE, store));
    at_store_device row = {device->id, device->kind, device->model, device->capability, 2, 0, 0, 0};
    OK(at_store_put_device(*store, &row));
}

Test(export_select, winners_become_variants)
{
    at_device device;
    at_store *store;
    at_export_report report;
    at_kernel *kernel = lower("relu");
    open_database(&store, &device);
    put_winner(store, kernel, &device, &(winner){"unroll=2", 10, false, false});
    put_winner(store, kernel, &device, &(winner){"unroll=4 threads=2", 20, false, false});
    put_winner(store, kernel, &device, &(winner){"store=stream", 24, false, false});
    put_winner(store, kernel, &device, &(winner){"unroll=1 threads=4", 22, false, true});
    put_winner(store, kernel, &device, &(winner){"unroll=4", 12, true, false});
    at_store_close(store);
    export_one("relu", device.isa, path_of("a.db"), &report);
    const char *manifest = read_text(path_of("out/manifest.json"));
    cr_assert(strstr(variant_at(manifest, false, 10), "unroll=2"), "%s", manifest);
    cr_assert(strstr(variant_at(manifest, false, 20), "unroll=4") && strstr(variant_at(manifest, false, 20), "threads=2"), "%s", manifest);
    cr_assert(strstr(variant_at(manifest, false, 24), "store=stream"), "%s", manifest);
    cr_assert(!strstr(variant_at(manifest, false, 22), "threads=4"), "the stale one: %s", manifest);
    cr_assert(strstr(variant_at(manifest, true, 12), "unroll=4") && strstr(variant_at(manifest, true, 12), "threads=1"), "%s", manifest);
    cr_assert(strstr(manifest, "\"median_ns\": 123.5"), "%s", manifest);
    cr_assert_str_eq(report.tier[0], "tuned");
    cr_assert_eq(report.notes, 1);
    cr_assert(strstr(report.note[0], "other source text"), "%s", report.note[0]);
    at_export_report_clear(&report);
    at_kernel_clear(kernel);
    free(kernel);
}

/* What won out of place serves in place, but for streaming stores; another machine of the level is kin. */
Test(export_select, in_place_and_kin_borrow)
{
    at_device device;
    at_store *store;
    at_export_report report;
    at_kernel *kernel = lower("relu");
    open_database(&store, &device);
    at_device other = device;
    strcpy(other.id, "cpu-elsewhere");
    at_store_device row = {other.id, "cpu", "another model", device.capability, 2, 0, 0, 0};
    OK(at_store_put_device(store, &row));
    put_winner(store, kernel, &other, &(winner){"unroll=2", 10, false, false});
    put_winner(store, kernel, &other, &(winner){"store=stream", 24, false, false});
    at_store_close(store);
    export_one("relu", device.isa, path_of("a.db"), &report);
    const char *manifest = read_text(path_of("out/manifest.json"));
    cr_assert(strstr(variant_at(manifest, false, 10), "unroll=2"), "%s", manifest);
    cr_assert(strstr(manifest, "\"tier\": \"same capability\""), "%s", manifest);
    cr_assert(strstr(variant_at(manifest, true, 24), "unroll=2"), "no streaming in place: %s", manifest);
    at_export_report_clear(&report);
    export_one("relu", AT_ISA_GENERIC, path_of("a.db"), &report);
    manifest = read_text(path_of("out/manifest.json"));
    cr_assert(strstr(variant_at(manifest, false, 20), "cpu/elementwise") && !strstr(manifest, "same capability"), "another level has its default: %s", manifest);
    cr_assert_str_eq(report.tier[0], "default");
    at_export_report_clear(&report);
    at_kernel_clear(kernel);
    free(kernel);
}

Test(export_select, a_changed_file_is_told)
{
    at_device device;
    at_store *store;
    at_export_report report;
    cr_assert_eq(chdir(root), 0);
    write_text("act.c", "float act(float x) { return x > 0 ? x : 0.5f * x; }\n");
    at_kernel *kernel = lower("@act.c:act");
    open_database(&store, &device);
    put_winner(store, kernel, &device, &(winner){"unroll=2", 10, false, false});
    at_store_close(store);
    export_one("@act.c:act", device.isa, path_of("a.db"), &report);
    cr_assert(report.notes == 0 && !strcmp(report.tier[0], "tuned"));
    at_export_report_clear(&report);
    write_text("act.c", "float act(float x) { return x > 0 ? x : 0.25f * x; }\n");
    export_one("@act.c:act", device.isa, path_of("a.db"), &report);
    cr_assert(report.notes == 1 && strstr(report.note[0], "the file has changed since it was tuned") && !strcmp(report.tier[0], "default"));
    cr_assert(strstr(read_text(path_of("out/manifest.json")), "has changed since"));
    at_export_report_clear(&report);
    at_kernel_clear(kernel);
    free(kernel);
}

/* The run time: variants that only tell that they were called. */

static int called[3];

static void fake(int number, const actune_slice *s)
{
    __atomic_fetch_add(&called[number], 1, __ATOMIC_RELAXED);
    for (int64_t i = s->begin; i < s->end; i++)
        ((float *)s->port[1])[i] = (float)number;
}
static void fake0(const actune_slice *s) { fake(0, s); }
static void fake1(const actune_slice *s) { fake(1, s); }
static void fake2(const actune_slice *s) { fake(2, s); }

Test(export_select, a_shape_gets_its_variant)
{
    static const actune_kernel_fn variants[] = {fake0, fake1, fake2};
    static const unsigned char threads[] = {1, 2, 1};
    static float x[1 << 16], y[1 << 16];
    const at_hash kernel = at_hash_text("a kernel");
    at_table_row rows[] = {{.key = {.kernel = kernel, .size_bucket = 4}, .variant = "0", .source_hash = kernel},
                           {.key = {.kernel = kernel, .size_bucket = 16}, .variant = "1", .source_hash = kernel},
                           {.key = {.kernel = kernel, .size_bucket = 10, .in_place = true}, .variant = "2", .source_hash = kernel}};
    unsigned char *table;
    size_t size;
    OK(at_table_build(rows, 3, &table, &size));
    const at_exported_level level = {.isa = AT_ISA_GENERIC, .variant = variants, .threads = threads, .table = table};
    at_exported_library library = {.isa_variable = "ONE_ISA", .wanted = "generic", .level = &level, .levels = 1};
    at_exported_function function = {.name = "f", .kernel = kernel, .bytes = {4, 4},
                                     .signature = {.port = {{.name = "x"}, {.name = "y", .is_output = true}}, .ports = 2, .inputs = 1}};
    const struct {
        int64_t n;
        bool in_place;
        int variant;
    } cases[] = {{16, false, 0}, {1 << 16, false, 1}, {16, false, 0}, {20, true, 2}, {16, false, 0}, {1 << 16, true, 2}, {900, false, 0}, {3000, false, 1}, {0, false, -1}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        void *const ports[] = {cases[i].in_place ? y : x, y};
        memset(called, 0, sizeof called);
        OK(at_exported_run(&library, &function, ports, (actune_shape){.outer = 1, .channels = 1, .inner = cases[i].n}));
        for (int v = 0; v < 3; v++)
            cr_assert_eq(called[v] > 0, v == cases[i].variant, "case %zu, variant %d", i, v);
    }
    at_exported_release(&library);
    free(table);
}
