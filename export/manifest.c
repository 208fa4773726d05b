/* manifest.json: what is in the library, and how it was chosen. */
#include "job.h"

#include "../runtime/backend/cpu.h"
#include "../runtime/base/dtype.h"

#include <stdlib.h>
#include <string.h>

static void quote(at_strbuf *out, const char *text)
{
    at_strbuf_char(out, '"');
    for (; *text != '\0'; text++)
        if (*text == '"' || *text == '\\')
            at_strbuf_printf(out, "\\%c", *text);
        else if ((unsigned char)*text < 32)
            at_strbuf_printf(out, "\\u%04x", (unsigned char)*text);
        else
            at_strbuf_char(out, *text);
    at_strbuf_char(out, '"');
}

/* `"key": "value"`, with what comes before it. */
static void member(at_strbuf *out, const char *before, const char *key, const char *value)
{
    at_strbuf_printf(out, "%s\"%s\": ", before, key);
    quote(out, value);
}

static const char *access_name(at_access access)
{
    static const char *const names[] = {[AT_ACCESS_ELEMENT] = "element", [AT_ACCESS_CHANNEL] = "channel", [AT_ACCESS_SCALAR] = "scalar",
                                        [AT_ACCESS_RANDOM] = "seed and offset"};
    return names[access];
}

static void write_function(const at_export_function *function, at_strbuf *out)
{
    const at_signature *signature = &function->kernel.signature;
    member(out, "    {", "name", function->symbol);
    member(out, ", ", "spec", function->kernel.spec);
    member(out, ",\n     ", "direction", signature->direction == ACTUNE_BACKWARD ? "backward" : "forward");
    member(out, ", ", "dtype_in", at_dtype_get(signature->dtype_in)->name);
    member(out, ", ", "dtype_out", at_dtype_get(signature->dtype_out)->name);
    member(out, ", ", "accuracy", at_accuracy_name(function->kernel.accuracy));
    member(out, ", ", "kernel", function->kernel.hash.hex);
    at_strbuf_append(out, ",\n     \"ports\": [");
    for (int i = 0; i < signature->ports; i++) {
        const at_port *port = &signature->port[i];
        member(out, i > 0 ? ", {" : "{", "name", function->parameter[i]);
        member(out, ", ", "access", access_name(port->access));
        member(out, ", ", "dtype", at_dtype_get(port->dtype)->name);
        at_strbuf_printf(out, ", \"output\": %s", port->is_output ? "true" : "false");
        member(out, ", ", "reduction", at_reduction_name(port->reduction));
        at_strbuf_char(out, '}');
    }
    at_strbuf_append(out, "]}");
}

static void write_variant(const at_export_job *job, const at_export_target *target, int number, at_strbuf *out)
{
    const at_export_variant *variant = &target->variant[number];
    at_strbuf_printf(out, "%s\n       {\"number\": %d, ", number > 0 ? "," : "", number);
    member(out, "", "function", job->function[variant->function]->symbol);
    member(out, ", ", "layout", at_layout_name(variant->layout));
    member(out, ", ", "variant", variant->text);
    member(out, ", ", "source_hash", variant->source_hash.hex);
    member(out, ", ", "symbol", variant->symbol);
    at_strbuf_char(out, '}');
}

/* Measured figures are left out where there are none. */
static void write_row(const at_export_job *job, const at_export_row *row, bool first, at_strbuf *out)
{
    const at_table_key *key = &row->key;
    member(out, first ? "\n       {" : ",\n       {", "function", job->function[row->function]->symbol);
    member(out, ", ", "layout", at_layout_name(key->layout));
    at_strbuf_printf(out, ", \"in_place\": %s, \"log2_elements\": %d", key->in_place ? "true" : "false", key->size_bucket);
    if (key->layout != AT_LAYOUT_FLAT)
        at_strbuf_printf(out, ", \"log2_channels\": %d, \"log2_inner\": %d", key->channel_bucket, key->inner_bucket);
    at_strbuf_printf(out, ", \"variant\": %d, ", row->variant);
    member(out, "", "tier", row->tier);
    if (row->median_ns > 0) {
        at_strbuf_append(out, ", \"median_ns\": ");
        at_strbuf_double(out, row->median_ns);
        at_strbuf_append(out, ", \"ratio_to_copy\": ");
        at_strbuf_double(out, row->ratio);
    }
    at_strbuf_char(out, '}');
}

static void write_target(const at_export_job *job, const at_export_target *target, bool first, at_strbuf *out)
{
    member(out, first ? "    {" : ",\n    {", "name", target->name);
    member(out, ", ", "kind", target->target.cuda ? "cuda" : "cpu");
    at_strbuf_append(out, ",\n     \"variants\": [");
    for (int i = 0; i < target->variants; i++)
        write_variant(job, target, i, out);
    at_strbuf_append(out, "],\n     \"shapes\": [");
    for (int i = 0; i < target->rows; i++)
        write_row(job, &target->row[i], i == 0, out);
    at_strbuf_append(out, "]}");
}

static void write_compiler(const at_export_job *job, at_strbuf *out)
{
    const at_compiler *compiler;
    if (!job->request->sources_only && at_compiler_get(&compiler) == ACTUNE_OK)
        member(out, ",\n  ", "compiler", compiler->version);
}

actune_status at_export_write_manifest(at_export_job *job)
{
    at_strbuf out = {0};
    at_strbuf_append(&out, "{\n  \"format\": 1");
    member(&out, ",\n  ", "name", job->request->name);
    member(&out, ",\n  ", "actune", ACTUNE_VERSION_TEXT);
    member(&out, ",\n  ", "licence", "MIT");
    write_compiler(job, &out);
    at_strbuf_append(&out, ",\n  \"functions\": [\n");
    for (int i = 0; i < job->functions; i++) {
        at_strbuf_append(&out, i > 0 ? ",\n" : "");
        write_function(job->function[i], &out);
    }
    at_strbuf_append(&out, "],\n  \"targets\": [\n");
    for (int i = 0; i < job->targets; i++)
        write_target(job, &job->target[i], i == 0, &out);
    at_strbuf_append(&out, "],\n  \"notes\": [");
    for (int i = 0; i < job->report->notes; i++) {
        at_strbuf_append(&out, i > 0 ? ", " : "");
        quote(&out, job->report->note[i]);
    }
    at_strbuf_append(&out, "]\n}\n");
    return at_export_add_file(job, "manifest.json", &out);
}
