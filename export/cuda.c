/* Code for GPUs: every variant compiled by NVRTC for its architecture, and once more to PTX for devices that come later. */
#include "cuda.h"

#include "../runtime/backend/nvrtc.h"
#include "pack.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct image_size {
    size_t packed, bytes;
} image_size;

/* The image of one variant as a C array, and its text as a file. */
static actune_status write_image(at_export_job *job, const at_export_target *target, int number, bool ptx, at_strbuf *out, image_size *size)
{
    const at_export_variant *variant = &target->variant[number];
    at_nvrtc_output output;
    actune_status status = at_nvrtc_compile(variant->source, "kernel.cu", target->target.cuda_arch, !ptx, &output);
    if (status != ACTUNE_OK)
        return at_fail_in(status, "%s, %s", job->function[variant->function]->symbol, target->name);
    at_strbuf packed = {0};
    at_export_pack(output.code, output.bytes, &packed);
    *size = (image_size){packed.length, output.bytes};
    at_strbuf_printf(out, "static const unsigned char %s_%s_%d[] =", ptx ? "ptx" : "cubin", target->tag, number);
    at_export_c_string(out, at_strbuf_text(&packed), packed.length);
    at_strbuf_append(out, ";\n");
    at_nvrtc_output_clear(&output);
    status = at_strbuf_status(&packed);
    at_strbuf_clear(&packed);
    return status;
}

static void write_code(const at_export_job *job, const at_export_target *target, int number, bool ptx, const image_size *size, at_strbuf *out)
{
    const at_export_variant *variant = &target->variant[number];
    const at_cuda_geometry *g = &variant->geometry;
    const at_export_function *function = job->function[variant->function];
    at_strbuf_printf(out, "    /* %s: %s */\n    {\"%s\", %s_%s_%d, %zu, %zu, ", function->symbol, variant->text, variant->symbol, ptx ? "ptx" : "cubin", target->tag, number,
                     size->packed, size->bytes);
    at_strbuf_printf(out, "{.block = %d, .items_per_block = %lld, .grid_stride = %s, .blocks_per_sm = %d, .in_place = %s}, ", g->block,
                     (long long)g->items_per_block, g->grid_stride ? "true" : "false", g->blocks_per_sm, g->in_place ? "true" : "false");
    at_strbuf_printf(out, "%s},\n", function->kernel.signature.slots > 0 ? "true" : "false");
}

static actune_status write_images(at_export_job *job, const at_export_target *target, bool ptx, at_strbuf *out)
{
    image_size *size = at_arena_array(&job->arena, (size_t)target->variants, sizeof *size);
    if (size == NULL)
        return at_export_no_memory();
    for (int i = 0; i < target->variants; i++)
        AT_TRY(write_image(job, target, i, ptx, out, &size[i]));
    at_strbuf_printf(out, "\nconst at_exported_code %s_%s_%s[] = {\n", job->request->name, ptx ? "ptx" : "cubins", target->tag);
    for (int i = 0; i < target->variants; i++)
        write_code(job, target, i, ptx, &size[i], out);
    at_strbuf_append(out, "};\n\n");
    return ACTUNE_OK;
}

static actune_status write_source(at_export_job *job, const at_export_target *target, int number)
{
    at_strbuf text = {0};
    const at_export_variant *variant = &target->variant[number];
    const char *path = at_arena_printf(&job->arena, "src/cuda/%s/%s.cu", target->name, variant->symbol);
    at_strbuf_append(&text, variant->source);
    return path != NULL ? at_export_add_file(job, path, &text) : (at_strbuf_clear(&text), at_export_no_memory());
}

/* The newest architecture is the first: later devices get its PTX. */
static const at_export_target *newest(const at_export_job *job)
{
    for (int i = 0; i < job->targets; i++)
        if (job->target[i].target.cuda)
            return &job->target[i];
    return NULL;
}

static void declare(const at_export_job *job, const at_export_target *target, bool ptx, at_strbuf *out)
{
    at_strbuf_printf(out, "extern const at_exported_code %s_%s_%s[];\n", job->request->name, ptx ? "ptx" : "cubins", target->tag);
}

actune_status at_export_write_cuda(at_export_job *job)
{
    at_strbuf out = {0};
    actune_status status = ACTUNE_OK;
    at_strbuf_append(&out, "/* Kernels for GPUs, compiled by NVRTC from src/cuda. */\n#include \"names.h\"\n\n#include \"export/support/exported_cuda.h\"\n\n");
    for (int i = 0; i < job->targets && status == ACTUNE_OK; i++) {
        const at_export_target *target = &job->target[i];
        if (!target->target.cuda)
            continue;
        declare(job, target, false, &out);
        status = write_images(job, target, false, &out);
        for (int v = 0; v < target->variants && status == ACTUNE_OK; v++)
            status = write_source(job, target, v);
    }
    if (status == ACTUNE_OK) {
        declare(job, newest(job), true, &out);
        status = write_images(job, newest(job), true, &out);
    }
    if (status == ACTUNE_OK)
        return at_export_add_file(job, "src/cuda_kernels.c", &out);
    at_strbuf_clear(&out);
    return status;
}

static void append_arch(const at_export_job *job, const at_export_target *t, bool ptx, at_strbuf *out)
{
    at_strbuf_printf(out, "    {.arch = %d, .ptx = %s, .variant = %s_%s_%s, .variants = %d, .table = table_%s},\n", t->target.cuda_arch, ptx ? "true" : "false",
                     job->request->name, ptx ? "ptx" : "cubins", t->tag, t->variants, t->tag);
}

/* Part of the dispatcher. */
actune_status at_export_append_archs(at_export_job *job, at_strbuf *out)
{
    for (int i = 0; i < job->targets; i++)
        if (job->target[i].target.cuda) {
            declare(job, &job->target[i], false, out);
            AT_TRY(at_export_append_table(job, &job->target[i], out));
        }
    declare(job, newest(job), true, out);
    at_strbuf_append(out, "\nstatic const at_exported_arch archs[] = {\n");
    for (int i = 0; i < job->targets; i++)
        if (job->target[i].target.cuda)
            append_arch(job, &job->target[i], false, out);
    append_arch(job, newest(job), true, out);
    at_strbuf_append(out, "};\n\nstatic at_exported_cuda cuda = {\n    .wanted = \"");
    for (int i = 0; i < job->targets; i++)
        if (job->target[i].target.cuda)
            at_strbuf_printf(out, "%s%s", &job->target[i] == newest(job) ? "" : ", ", job->target[i].name);
    at_strbuf_append(out, "\",\n    .arch = archs,\n    .archs = (int)(sizeof archs / sizeof *archs),\n    .lock = PTHREAD_MUTEX_INITIALIZER,\n};\n\n");
    return at_strbuf_status(out);
}
