#include "spec_parse.h"

#include <string.h>

typedef struct attribute {
    const char *name;
    const char *values[4];
    void (*set)(at_spec *spec, int value);
} attribute;

static void set_accuracy(at_spec *spec, int value)
{
    spec->accuracy = (at_accuracy)value;
}

static void set_semantics(at_spec *spec, int value)
{
    spec->semantics = (at_semantics)value;
}

/* Values stand in the order of their enums. */
static const attribute attributes[] = {
    {"accuracy", {"exact", "standard", "fast"}, set_accuracy},
    {"semantics", {"torch", "cudnn"}, set_semantics},
};
enum { ATTRIBUTES = sizeof attributes / sizeof *attributes };

const char *at_accuracy_name(at_accuracy accuracy)
{
    return attributes[0].values[accuracy];
}

static actune_status parse_value(at_scan *scan, const attribute *entry, at_spec *spec)
{
    at_strbuf admitted = {0};
    at_scan_peek(scan);
    size_t at = scan->at;
    at_slice value = at_scan_name(scan);
    for (int i = 0; entry->values[i]; i++) {
        if (at_slice_is_any(value, entry->values[i])) {
            entry->set(spec, i);
            at_strbuf_clear(&admitted);
            return ACTUNE_OK;
        }
        at_strbuf_printf(&admitted, "%s%s", i ? ", " : "", entry->values[i]);
    }
    at_scan_fail(scan, at, ACTUNE_SYNTAX, "%s is one of %s", entry->name, at_strbuf_text(&admitted));
    at_strbuf_clear(&admitted);
    return ACTUNE_SYNTAX;
}

static actune_status parse_attribute(at_scan *scan, bool *seen, at_spec *spec)
{
    at_scan_peek(scan);
    size_t at = scan->at;
    at_slice name = at_scan_name(scan);
    int i = 0;
    if (!name.length)
        return at_scan_fail(scan, at, ACTUNE_SYNTAX, "expected an attribute here: accuracy or semantics");
    if (at_slice_is_any(name, "from"))
        return at_scan_fail(scan, at, ACTUNE_UNSUPPORTED, "the attribute 'from' is not supported yet in this version");
    while (i < ATTRIBUTES && !at_slice_is_any(name, attributes[i].name))
        i++;
    if (i == ATTRIBUTES)
        return at_scan_fail(scan, at, ACTUNE_SYNTAX, "unknown attribute '%.*s'; there are accuracy and semantics",
                            AT_SLICE_SHOWN(name));
    if (seen[i])
        return at_scan_fail(scan, at, ACTUNE_SYNTAX, "the attribute '%s' is given twice", attributes[i].name);
    seen[i] = true;
    if (!at_scan_take(scan, '='))
        return at_scan_fail(scan, scan->at, ACTUNE_SYNTAX, "expected '=' after '%s'", attributes[i].name);
    return parse_value(scan, &attributes[i], spec);
}

actune_status at_spec_parse_attributes(at_scan *scan, at_spec *spec)
{
    bool seen[ATTRIBUTES] = {0};
    if (!at_scan_take(scan, '['))
        return ACTUNE_OK;
    do
        AT_TRY(parse_attribute(scan, seen, spec));
    while (at_scan_take(scan, ','));
    if (!at_scan_take(scan, ']'))
        return at_scan_fail(scan, scan->at, ACTUNE_SYNTAX, "expected ',' or ']' here");
    return ACTUNE_OK;
}
