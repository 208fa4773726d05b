#include "copies.h"

#include <stdlib.h>
#include <string.h>

typedef struct copy_list {
    int threads;
    at_variant variant[AT_COPIES_MAX];
    at_variant default_variant;
    int count;
} copy_list;

bool at_variant_is_wide(const at_variant *variant)
{
    return strcmp(at_variant_knob(variant, "width", ""), "64") == 0;
}

static bool has_knob(const at_variant *variant, const char *name, const char *value)
{
    return strcmp(at_variant_knob(variant, name, ""), value) == 0;
}

/* Of the identity kernel's space, by one thread and by all: the default with either store, and vectors of 32 bytes with the lines to
   be written fetched ahead, which keep the clock up. */
static actune_status keep_copies(void *user, const at_variant *variant)
{
    copy_list *list = user;
    if (list->count == 0)
        list->default_variant = *variant;
    const at_variant *plain = &list->default_variant;
    int threads = atoi(at_variant_knob(variant, "threads", "1"));
    bool ahead = has_knob(variant, "prefetch", "512") && has_knob(variant, "width", "32") && has_knob(variant, "store", "plain");
    if (list->count == AT_COPIES_MAX || (threads != 1 && threads != list->threads))
        return ACTUNE_OK;
    for (int i = 0; i < variant->knobs; i++) {
        const char *name = variant->knob[i].name;
        bool is_free = strcmp(name, "threads") == 0 || strcmp(name, "store") == 0 ||
                       (ahead && (strcmp(name, "width") == 0 || strcmp(name, "prefetch") == 0));
        if (!is_free && !has_knob(plain, name, variant->knob[i].value))
            return ACTUNE_OK;
    }
    list->variant[list->count++] = *variant;
    return ACTUNE_OK;
}

static void take_functions(const copy_list *list, const at_generate_item *items, at_copies *copies)
{
    for (int i = 0; i < list->count; i++) {
        actune_kernel_fn function =
            items[i].status == ACTUNE_OK ? at_binary_symbol(copies->binary, items[i].symbol) : NULL;
        int threads = atoi(at_variant_knob(&list->variant[i], "threads", "1"));
        if (function)
            copies->arm[copies->count++] = (at_arm){
                .kind = AT_ARM_COPY, .function = function, .threads = threads, .wide = at_variant_is_wide(&list->variant[i])};
    }
}

static actune_status build(at_cache *cache, const at_device *device, const at_kernel *kernel, int threads,
                           at_copies *copies)
{
    copy_list list = {.threads = threads};
    at_target target = {.isa = device->isa};
    at_generate_item items[AT_COPIES_MAX];
    at_strbuf source = {0};
    at_build_info info;
    AT_TRY(at_variant_each(kernel, AT_LAYOUT_FLAT, &target, keep_copies, &list));
    for (int i = 0; i < list.count; i++)
        items[i] = (at_generate_item){.kernel = kernel, .layout = AT_LAYOUT_FLAT, .variant = &list.variant[i]};
    actune_status status = at_generate_batch(items, list.count, &target, &source);
    if (status == ACTUNE_OK)
        status =
            at_binary_build(cache, at_strbuf_text(&source), at_isa_name(device->isa), false, &copies->binary, &info);
    copies->source_hash = at_hash_text(at_strbuf_text(&source));
    at_strbuf_clear(&source);
    if (status == ACTUNE_OK)
        take_functions(&list, items, copies);
    return status;
}

actune_status at_copies_open(at_cache *cache, const at_device *device, int threads, at_copies *copies)
{
    at_spec spec;
    at_kernel kernel;
    at_kernel_request request = {.direction = ACTUNE_FORWARD, .dtype_in = ACTUNE_F32, .dtype_out = ACTUNE_F32};
    *copies = (at_copies){0};
    AT_TRY(at_spec_parse("identity", &spec));
    actune_status status = at_kernel_lower(&spec, &request, &kernel);
    if (status == ACTUNE_OK) {
        status = build(cache, device, &kernel, threads, copies);
        at_kernel_clear(&kernel);
    }
    at_spec_clear(&spec);
    return status;
}

void at_copies_close(at_copies *copies)
{
    at_binary_release(copies->binary);
    *copies = (at_copies){0};
}
