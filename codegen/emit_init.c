#include "emit_init.h"

#include "../runtime/base/dtype.h"
#include "fragment.h"

#include <stdio.h>

static const char symbol[] = "actune_init";

static const char *const c_type[] = {[ACTUNE_F32] = "float", [ACTUNE_F64] = "double", [ACTUNE_F16] = "unsigned short", [ACTUNE_BF16] = "unsigned short"};
/* Of doubles. */
static const int lanes[] = {[AT_ISA_GENERIC] = 2, [AT_ISA_X86_V2] = 2, [AT_ISA_X86_V3] = 4, [AT_ISA_X86_V4] = 8, [AT_ISA_NEON] = 2};

static actune_status expand(const char *name, at_scope *scope, at_strbuf *out)
{
    at_template_text text;
    AT_TRY(at_template_get(name, &text));
    return at_template_expand(&text, scope, false, out);
}

/* Fragments stand before the text that names them. */
static actune_status emit_cpu(actune_dtype dtype, at_isa isa, at_scope *scope, at_strbuf *source)
{
    at_fragments fragments = {0};
    at_strbuf text = {0};
    char store[16];
    snprintf(store, sizeof store, dtype == ACTUNE_F64 ? "%s" : "%s_f64", at_dtype_get(dtype)->name);
    at_scope_text(scope, "isa", -1, at_isa_name(isa));
    at_scope_text(scope, "T", -1, "f64");
    at_scope_number(scope, "lanes", -1, lanes[isa]);
    at_scope_text(scope, "store", -1, store);
    actune_status status = expand("cpu/init", scope, &text);
    if (status == ACTUNE_OK)
        status = at_fragments_add(&fragments, scope, at_strbuf_text(&text));
    at_strbuf_printf(source, "/* actune cpu/init: initial weights, %s, %s */\n", at_dtype_get(dtype)->name, at_isa_name(isa));
    if (status == ACTUNE_OK)
        status = expand("cpu/prelude", scope, source);
    at_strbuf_append(source, at_strbuf_text(&fragments.types));
    at_strbuf_append(source, at_strbuf_text(&fragments.text));
    at_strbuf_char(source, '\n');
    at_strbuf_append(source, at_strbuf_text(&text));
    at_fragments_clear(&fragments);
    if (status == ACTUNE_OK)
        status = at_strbuf_status(&text);
    at_strbuf_clear(&text);
    return status;
}

actune_status at_emit_init(actune_dtype dtype, const at_target *target, at_strbuf *source)
{
    at_scope scope = {0};
    at_scope_text(&scope, "symbol", -1, symbol);
    at_scope_text(&scope, "type", -1, at_dtype_get(dtype)->name);
    at_scope_text(&scope, "c", -1, c_type[dtype]);
    at_scope_number(&scope, "bytes", -1, at_dtype_get(dtype)->bytes);
    at_scope_number(&scope, "block", -1, AT_INIT_BLOCK);
    actune_status status = target->cuda ? expand("cuda/init", &scope, source) : emit_cpu(dtype, target->isa, &scope, source);
    at_scope_clear(&scope);
    return status != ACTUNE_OK ? status : at_strbuf_status(source);
}
