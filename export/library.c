/* The dispatcher: `src/<name>.c`, with the tables baked in and the public functions. */
#include "cuda.h"

#include "signature_text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Octal where C wants it: three digits, so that a digit behind them is another character. */
void at_export_c_string(at_strbuf *out, const void *bytes, size_t size)
{
    enum { BYTES_A_LINE = 48 };
    const unsigned char *at = bytes;
    at_strbuf_append(out, "\n    \"");
    for (size_t i = 0; i < size; i++) {
        if (i > 0 && i % BYTES_A_LINE == 0)
            at_strbuf_append(out, "\"\n    \"");
        if (at[i] == '"' || at[i] == '\\' || at[i] == '?' || at[i] < 32 || at[i] > 126)
            at_strbuf_printf(out, "\\%03o", at[i]);
        else
            at_strbuf_char(out, (char)at[i]);
    }
    at_strbuf_char(out, '"');
}

static const char *guard_of(at_isa isa)
{
    return isa == AT_ISA_GENERIC ? "1" : isa == AT_ISA_NEON ? "defined(__aarch64__)" : "defined(__x86_64__)";
}

static const char *constant_of(at_isa isa)
{
    static const char *const names[] = {[AT_ISA_GENERIC] = "AT_ISA_GENERIC", [AT_ISA_X86_V2] = "AT_ISA_X86_V2", [AT_ISA_X86_V3] = "AT_ISA_X86_V3",
                                        [AT_ISA_X86_V4] = "AT_ISA_X86_V4", [AT_ISA_NEON] = "AT_ISA_NEON"};
    return names[isa];
}

/* The table of runtime/base, with a variant's number for its text. */
actune_status at_export_append_table(at_export_job *job, const at_export_target *target, at_strbuf *out)
{
    at_table_row *rows = calloc((size_t)target->rows + 1, sizeof *rows);
    unsigned char *bytes = NULL;
    size_t size = 0;
    actune_status status = rows != NULL ? ACTUNE_OK : at_export_no_memory();
    for (int i = 0; i < target->rows && status == ACTUNE_OK; i++) {
        const at_export_row *row = &target->row[i];
        rows[i] = (at_table_row){.key = row->key, .source_hash = target->variant[row->variant].source_hash,
                                 .variant = at_arena_printf(&job->arena, "%d", row->variant)};
        if (rows[i].variant == NULL)
            status = at_export_no_memory();
    }
    if (status == ACTUNE_OK)
        status = at_table_build(rows, target->rows, &bytes, &size);
    free(rows);
    AT_TRY(status);
    at_strbuf_printf(out, "static const unsigned char table_%s[] =", target->tag);
    at_export_c_string(out, bytes, size);
    at_strbuf_append(out, ";\n");
    free(bytes);
    return ACTUNE_OK;
}

static actune_status append_level(at_export_job *job, const at_export_target *target, at_strbuf *out)
{
    at_strbuf_printf(out, "#if %s\n/* %s: %d variants; the table says which of them a shape gets. */\n", guard_of(target->target.isa), target->name,
                     target->variants);
    at_strbuf_printf(out, "extern const actune_kernel_fn %s_kernels_%s[];\nstatic const unsigned char threads_%s[] = {", job->request->name, target->tag,
                     target->tag);
    for (int i = 0; i < target->variants; i++)
        at_strbuf_printf(out, "%s%d", i > 0 ? ", " : "", target->variant[i].threads);
    at_strbuf_append(out, "};\n");
    AT_TRY(at_export_append_table(job, target, out));
    at_strbuf_append(out, "#endif\n\n");
    return ACTUNE_OK;
}

static actune_status append_levels(at_export_job *job, at_strbuf *out)
{
    for (int i = 0; i < job->targets; i++)
        if (!job->target[i].target.cuda)
            AT_TRY(append_level(job, &job->target[i], out));
    at_strbuf_append(out, "static const at_exported_level levels[] = {\n");
    for (int i = 0; i < job->targets; i++) {
        const at_export_target *t = &job->target[i];
        if (!t->target.cuda)
            at_strbuf_printf(out, "#if %s\n    {%s, %s_kernels_%s, threads_%s, table_%s},\n#endif\n", guard_of(t->target.isa),
                             constant_of(t->target.isa), job->request->name, t->tag, t->tag, t->tag);
    }
    at_strbuf_append(out, "    {AT_ISA_GENERIC, NULL, NULL, NULL} /* the end */\n};\n\n");
    return ACTUNE_OK;
}

static void append_library(const at_export_job *job, at_strbuf *out)
{
    at_strbuf_printf(out, "static at_exported_library library = {\n    .isa_variable = \"%s_ISA\",\n    .wanted = \"", job->upper);
    bool first = true;
    for (int i = 0; i < job->targets; i++)
        if (!job->target[i].target.cuda) {
            at_strbuf_printf(out, "%s%s", first ? "" : ", ", job->target[i].name);
            first = false;
        }
    at_strbuf_append(out, "\",\n    .level = levels,\n    .levels = (int)(sizeof levels / sizeof *levels) - 1,\n};\n\n");
}

static void append_common(const at_export_job *job, at_strbuf *out)
{
    const char *name = job->request->name;
    at_strbuf_printf(out, "const char *%s_last_error(void)\n{\n    return actune_last_error();\n}\n\n", name);
    at_strbuf_printf(out, "const char *%s_status_name(%s_status status)\n{\n    return actune_status_name((actune_status)status);\n}\n\n", name, name);
    at_strbuf_printf(out, "void %s_release(void)\n{\n%s%s}\n\n", name, job->request->cpu ? "    at_exported_release(&library);\n" : "",
                     job->request->cuda ? "    at_exported_cuda_release(&cuda);\n" : "");
    if (job->request->cuda)
        at_strbuf_printf(out, "%s_status %s_cuda_prewarm(int device)\n{\n    return (%s_status)at_exported_cuda_prewarm(&cuda, device);\n}\n\n", name, name, name);
    if (!job->request->cpu)
        return;
    at_strbuf_printf(out, "%s_status %s_set_threads(int threads)\n{\n    return (%s_status)at_exported_set_threads(&library, threads);\n}\n\n", name, name, name);
    at_strbuf_printf(out, "const char *%s_isa(void)\n{\n    return at_exported_isa(&library);\n}\n\n", name);
}

static void append_functions(const at_export_job *job, at_strbuf *out)
{
    at_strbuf_append(out, "static at_exported_function function[] = {\n");
    for (int i = 0; i < job->functions; i++)
        at_export_text_function(job->function[i], out);
    at_strbuf_append(out, "};\n\n");
}

static actune_status write_cuda(at_export_job *job, at_strbuf *out)
{
    AT_TRY(at_export_append_archs(job, out));
    for (int i = 0; i < job->functions; i++)
        at_export_text_cuda_definition(job, i, out);
    return ACTUNE_OK;
}

static actune_status write_cpu(at_export_job *job, at_strbuf *out)
{
    AT_TRY(append_levels(job, out));
    append_library(job, out);
    for (int i = 0; i < job->functions; i++)
        at_export_text_definition(job, i, out);
    return ACTUNE_OK;
}

actune_status at_export_write_library(at_export_job *job)
{
    const char *name = job->request->name;
    at_strbuf out = {0};
    at_strbuf_printf(&out, "/* The functions of %s: each finds the variant for its shape and runs it. */\n#include \"names.h\"\n\n", name);
    at_strbuf_printf(&out, "#include \"../include/%s.h\"\n#include \"export/support/%s.h\"\n\n", name,
                     job->request->cuda ? "exported_cuda" : "exported");
    append_functions(job, &out);
    actune_status status = job->request->cpu ? write_cpu(job, &out) : ACTUNE_OK;
    if (status == ACTUNE_OK && job->request->cuda)
        status = write_cuda(job, &out);
    append_common(job, &out);
    const char *path = at_arena_printf(&job->arena, "src/%s.c", name);
    if (status == ACTUNE_OK && path == NULL)
        status = at_export_no_memory();
    if (status == ACTUNE_OK)
        return at_export_add_file(job, path, &out);
    at_strbuf_clear(&out);
    return status;
}
