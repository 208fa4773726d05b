/* The kernels of an instruction set: one translation unit, as the tuner compiled them, in a frame that lets any compiler line build it. */
#include "job.h"

#include <stdlib.h>
#include <string.h>

static const char entry_start[] = "__attribute__((visibility(\"default\"))) void actune_";
static const char own_start[] = "static void actune_";

/* Entries are reached through the list at the end alone. */
static void append_static(const char *text, at_strbuf *out)
{
    for (const char *entry; (entry = strstr(text, entry_start)) != NULL; text = entry + sizeof entry_start - 1) {
        at_strbuf_append_n(out, text, (size_t)(entry - text));
        at_strbuf_append(out, own_start);
    }
    at_strbuf_append(out, text);
}

/* What a compiler needs for a level of x86-64, and the macro that tells that it was asked for already. */
static const struct {
    at_isa isa;
    const char *macro, *flags;
    int bits;
} levels[] = {{AT_ISA_X86_V2, "__SSE4_2__", "-march=x86-64-v2", 128},
              {AT_ISA_X86_V3, "__AVX2__", "-march=x86-64-v3", 256},
              {AT_ISA_X86_V4, "__AVX512VL__", "-march=x86-64-v4 -mprefer-vector-width=512", 512}};

static void open_frame(const at_export_target *target, at_strbuf *out)
{
    if (target->target.isa == AT_ISA_NEON)
        at_strbuf_append(out, "#if defined(__aarch64__)\n");
    for (size_t i = 0; i < sizeof levels / sizeof *levels; i++) {
        if (levels[i].isa != target->target.isa)
            continue;
        at_strbuf_printf(out, "/* Built with %s these are the kernels as they were tuned; without, the file asks for the level itself. */\n", levels[i].flags);
        at_strbuf_printf(out, "#if defined(__x86_64__)\n#if !defined(%s) && defined(__clang__)\n#define ASKED_BY_PRAGMA\n", levels[i].macro);
        at_strbuf_printf(out, "#pragma clang attribute push(__attribute__((target(\"arch=%s\"))), apply_to = function)\n", target->name);
        at_strbuf_printf(out, "#pragma clang attribute push(__attribute__((min_vector_width(%d))), apply_to = function)\n", levels[i].bits);
        at_strbuf_printf(out, "#elif !defined(%s)\n#pragma GCC target(\"arch=%s\")\n", levels[i].macro, target->name);
        at_strbuf_append(out, levels[i].bits == 512 ? "#pragma GCC target(\"prefer-vector-width=512\")\n#endif\n\n" : "#endif\n\n");
    }
}

static void close_frame(const at_export_target *target, at_strbuf *out)
{
    if (target->target.isa == AT_ISA_GENERIC)
        return;
    if (target->target.isa != AT_ISA_NEON)
        at_strbuf_append(out, "#if defined(ASKED_BY_PRAGMA)\n#pragma clang attribute pop\n#pragma clang attribute pop\n#endif\n");
    at_strbuf_append(out, "#endif\n");
}

static actune_status generate(at_export_job *job, const at_export_target *target, at_strbuf *text)
{
    at_generate_item *item = calloc((size_t)target->variants, sizeof *item);
    if (item == NULL)
        return at_export_no_memory();
    for (int i = 0; i < target->variants; i++)
        item[i] = (at_generate_item){.kernel = &job->function[target->variant[i].function]->kernel, .layout = target->variant[i].layout,
                                     .variant = &target->variant[i].variant, .pretty = true};
    actune_status status = at_generate_batch(item, target->variants, &target->target, text);
    for (int i = 0; i < target->variants && status == ACTUNE_OK; i++)
        status = item[i].status;
    free(item);
    return status;
}

static actune_status write_level(at_export_job *job, const at_export_target *target)
{
    at_strbuf out = {0}, text = {0};
    actune_status status = generate(job, target, &text);
    open_frame(target, &out);
    append_static(at_strbuf_text(&text), &out);
    at_strbuf_clear(&text);
    at_strbuf_printf(&out, "\n/* By number, as the dispatch table of %s.c has them. */\n", job->request->name);
    at_strbuf_printf(&out, "extern void (*const %s_kernels_%s[])(const actune_slice *) __attribute__((visibility(\"hidden\")));\n", job->request->name,
                     target->tag);
    at_strbuf_printf(&out, "void (*const %s_kernels_%s[])(const actune_slice *) = {\n", job->request->name, target->tag);
    for (int i = 0; i < target->variants; i++)
        at_strbuf_printf(&out, "    %s, /* %s: %s */\n", target->variant[i].symbol, job->function[target->variant[i].function]->symbol,
                         target->variant[i].text);
    at_strbuf_append(&out, "};\n");
    close_frame(target, &out);
    const char *path = at_arena_printf(&job->arena, "src/kernels_%s.c", target->tag);
    if (status == ACTUNE_OK && path != NULL)
        return at_export_add_file(job, path, &out);
    at_strbuf_clear(&out);
    return status != ACTUNE_OK ? status : at_export_no_memory();
}

actune_status at_export_write_kernels(at_export_job *job)
{
    for (int i = 0; i < job->targets; i++)
        if (!job->target[i].target.cuda)
            AT_TRY(write_level(job, &job->target[i]));
    return ACTUNE_OK;
}
