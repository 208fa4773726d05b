/* "did you mean" for stages: the table of forms, the activations and their aliases. */
#include "stages.h"

#include "../runtime/base/nearest.h"
#include <string.h>

static void consider_aliases(at_nearest *nearest, const char *aliases)
{
    char name[AT_NEAREST_LENGTH_MAX + 1];
    while (*aliases) {
        size_t length = strcspn(aliases, " ");
        if (length && length < sizeof name) {
            memcpy(name, aliases, length);
            name[length] = 0;
            at_nearest_consider(nearest, name);
        }
        aliases += length + (aliases[length] == ' ');
    }
}

void at_stage_suggest(const char *name, at_strbuf *out)
{
    at_nearest nearest;
    at_nearest_init(&nearest, name);
    for (int i = 0; i < at_stage_form_count(); i++)
        at_nearest_consider(&nearest, at_stage_form_get(i)->name);
    for (int i = 0; at_spec_gated_unit(i); i++)
        at_nearest_consider(&nearest, at_spec_gated_unit(i));
    for (int i = 0; i < at_activation_count(); i++) {
        at_nearest_consider(&nearest, at_activation_get(i)->name);
        consider_aliases(&nearest, at_activation_get(i)->aliases);
    }
    at_nearest_print(&nearest, out);
    if (!nearest.count)
        at_strbuf_append(out, "; `actune ops` lists all stages");
}
