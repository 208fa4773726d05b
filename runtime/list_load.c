/* From generated text to the functions of a list on a CPU. */
#include "tensor_list.h"

#include "base/dtype.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static actune_status find(actune_tensor_list *list, const char *name, actune_kernel_fn *function)
{
    *function = at_binary_symbol(list->binary, name);
    return *function != NULL ? ACTUNE_OK : at_fail(ACTUNE_INTERNAL, "%s has no symbol %s; please report it", list->build.path, name);
}

static actune_status find_all(actune_tensor_list *list)
{
    char name[64];
    for (int i = 0; i < AT_LIST_NORMS; i++) {
        snprintf(name, sizeof name, "%s_norm%d", AT_LIST_SYMBOL, i);
        AT_TRY(find(list, name, &list->norm[i]));
    }
    AT_TRY(find(list, AT_LIST_SYMBOL "_scale", &list->scale));
    return find(list, AT_LIST_SYMBOL "_clip", &list->clip);
}

static actune_status build(actune_tensor_list *list)
{
    const actune_context *context = list->context;
    const at_target target = at_context_target(context);
    at_strbuf source = {0};
    if (context->cache == NULL)
        return at_fail(ACTUNE_IO, "%s", context->cache_note);
    actune_status status = at_generate_list(list->dtype, &target, NULL, NULL, &source);
    if (status == ACTUNE_OK)
        status = at_binary_build(context->cache, at_strbuf_text(&source), at_isa_name(context->device.isa), context->no_compile, &list->binary,
                                 &list->build);
    at_strbuf_clear(&source);
    return status == ACTUNE_OK ? find_all(list) : status;
}

actune_status at_list_load(actune_tensor_list *list)
{
    const char *forced = getenv("ACTUNE_INTERPRET");
    if (forced != NULL && forced[0] != '\0' && strcmp(forced, "0") != 0) {
        at_strbuf_append(&list->note, "ACTUNE_INTERPRET is set");
        return at_strbuf_status(&list->note);
    }
    if (build(list) == ACTUNE_OK)
        return ACTUNE_OK;
    if (list->binary != NULL)
        at_binary_release(list->binary);
    list->binary = NULL;
    const char *why = actune_last_error();
    at_strbuf_printf(&list->note, "plain loops: %.*s", (int)strcspn(why, "\n"), why);
    return at_strbuf_status(&list->note);
}
