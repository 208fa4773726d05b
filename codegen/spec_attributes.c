#include "spec_parse.h"

#include <stdio.h>

typedef struct attribute {
    const char *name;
    const char *values[10];
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

static void set_from(at_spec *spec, int value)
{
    spec->from_output = value == 1;
}

static void set_pass(at_spec *spec, int value)
{
    spec->pass = value + 1;
}

/* Values stand in the order of their enums. */
static const attribute attributes[] = {
    {"accuracy", {"exact", "standard", "fast"}, set_accuracy},
    {"semantics", {"torch", "cudnn"}, set_semantics},
    {"from", {"input", "output"}, set_from},
    {"pass", {"1", "2", "3", "4", "5", "6", "7", "8", "9"}, set_pass},
};
enum { ATTRIBUTES = sizeof attributes / sizeof *attributes };

const char *at_accuracy_name(at_accuracy accuracy)
{
    return attributes[0].values[accuracy];
}

/* Fails with the names in `list`, up to a NULL. */
static actune_status fail_listing(const at_scan *scan, size_t at, const char *message, const char *const *list)
{
    at_strbuf names = {0};
    for (int i = 0; list[i]; i++)
        at_strbuf_printf(&names, "%s%s", i ? ", " : "", list[i]);
    at_scan_fail(scan, at, ACTUNE_SYNTAX, "%s %s", message, at_strbuf_text(&names));
    at_strbuf_clear(&names);
    return ACTUNE_SYNTAX;
}

static actune_status fail_name(const at_scan *scan, size_t at, at_slice name)
{
    const char *names[ATTRIBUTES + 1] = {0};
    char message[100];
    for (int i = 0; i < ATTRIBUTES; i++)
        names[i] = attributes[i].name;
    if (name.length)
        snprintf(message, sizeof message, "unknown attribute '%.*s'; there are", AT_SLICE_SHOWN(name));
    return fail_listing(scan, at, name.length ? message : "expected an attribute here, one of", names);
}

static actune_status parse_value(at_scan *scan, const attribute *entry, at_spec *spec)
{
    char message[100];
    at_scan_peek(scan);
    size_t at = scan->at;
    at_slice value = at_scan_value(scan);
    for (int i = 0; entry->values[i]; i++)
        if (at_slice_is_any(value, entry->values[i])) {
            entry->set(spec, i);
            return ACTUNE_OK;
        }
    snprintf(message, sizeof message, "%s is one of", entry->name);
    return fail_listing(scan, at, message, entry->values);
}

static actune_status parse_attribute(at_scan *scan, bool *seen, at_spec *spec)
{
    at_scan_peek(scan);
    size_t at = scan->at;
    at_slice name = at_scan_name(scan);
    int i = 0;
    while (i < ATTRIBUTES && !at_slice_is_any(name, attributes[i].name))
        i++;
    if (i == ATTRIBUTES)
        return fail_name(scan, at, name);
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
