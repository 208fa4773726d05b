/* A variant: one template and a value for each of its knobs; the space of a kernel: every template that fits it. */
#ifndef AT_CODEGEN_VARIANT_H
#define AT_CODEGEN_VARIANT_H

#include "../runtime/base/isa.h"
#include "kernel.h"

enum { AT_KNOBS_MAX = 16, AT_KNOB_VALUES_MAX = 16 };

typedef struct at_knob {
    const char *name;
    const char *value[AT_KNOB_VALUES_MAX];
    int values;
    bool launch; /* a `$launch` line: used when running (threads ...), not in the source */
    bool option; /* an `$option` line: decided by the caller (in place, how it is launched), never searched */
} at_knob;

typedef struct at_knob_setting {
    const char *name, *value;
} at_knob_setting;

typedef struct at_variant {
    const char *template_name; /* "cpu/elementwise" */
    at_knob_setting knob[AT_KNOBS_MAX]; /* the template's order */
    int knobs;
} at_variant;

/* What the code is generated for. */
typedef struct at_target {
    bool cuda;
    at_isa isa;   /* CPU */
    int cuda_arch; /* 90 for sm_90 */
} at_target;

/* The knobs of a template with all their values, read from the template. NOT_FOUND. Static memory after first use. */
actune_status at_template_knobs(const char *template_name, const at_knob **knobs, int *count);
/* The template a kernel in this layout uses on this target, e.g. "cpu/elementwise". */
const char *at_template_for(const at_kernel *kernel, at_layout layout, const at_target *target);

/* Calls `visit` for each variant of the template that its $require lines admit for this kernel and target, default first (options keep their first value); a
   non-OK return of visit ends the walk and is returned. Launch knobs vary fastest: neighbours that
   differ in them alone have the same source. Whether a variant's math reaches the accuracy class shows when it is generated (UNSUPPORTED). */
actune_status at_variant_each(const at_kernel *kernel, at_layout layout, const at_target *target,
                              actune_status (*visit)(void *user, const at_variant *variant), void *user);
/* The default variant: first value of every knob that the $require lines admit and whose math reaches the accuracy class; always
   correct, never slow. */
actune_status at_variant_default(const at_kernel *kernel, at_layout layout, const at_target *target, at_variant *variant);
/* Sets a knob; INVALID_ARGUMENT (with the admitted values) for an unknown name or value. */
actune_status at_variant_set(at_variant *variant, const char *name, const char *value);
const char *at_variant_knob(const at_variant *variant, const char *name, const char *fallback);
/* "cpu/elementwise width=64 unroll=2 math=fit16 store=plain threads=1" and back (strings go to the arena). */
void at_variant_print(const at_variant *variant, at_strbuf *out);
actune_status at_variant_parse(const char *text, at_arena *arena, at_variant *variant);

/* generate.c: source text of one variant, in order: approximate -> emit -> expand. `symbol`: the entry's name, NULL: from the
   source's hash. Deterministic: same inputs, same bytes. `pretty`: for reading (no #line). */
typedef struct at_generate_options {
    const char *symbol;
    bool pretty;
} at_generate_options;
actune_status at_generate(const at_kernel *kernel, at_layout layout, const at_target *target, const at_variant *variant,
                          const at_generate_options *options, at_strbuf *source);
/* One translation unit of several variants (of one or several kernels): what they share is written once. items[i].symbol is
   filled: "actune_" + 16 hex digits of the hash of the variant's own source. Variants that cannot be generated get
   symbol[0] = 0 and their status. */
typedef struct at_generate_item {
    const at_kernel *kernel;
    at_layout layout;
    const at_variant *variant;
    bool pretty; /* no #line */
    char symbol[32];
    at_hash source_hash; /* of the variant alone, launch knobs left out: its identity in the database */
    actune_status status;
} at_generate_item;
actune_status at_generate_batch(at_generate_item *items, int count, const at_target *target, at_strbuf *source);

#endif
