/* Knobs of the templates, and variants as text. */
#include "variant.h"

#include "embedded.h"
#include "template.h"
#include <pthread.h>
#include <string.h>

enum { TEMPLATES_MAX = 24 };

typedef struct knob_table {
    const char *template_name; /* "cpu/elementwise" */
    at_knob knob[AT_KNOBS_MAX];
    int knobs;
} knob_table;

static at_arena arena; /* names and values, for the life of the process */
static knob_table tables[TEMPLATES_MAX];
static int table_count;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static char *next_word(const char **at, const char *end)
{
    while (*at < end && **at == ' ')
        ++*at;
    const char *start = *at;
    while (*at < end && **at != ' ')
        ++*at;
    return *at > start ? at_arena_strndup(&arena, start, (size_t)(*at - start)) : NULL;
}

static actune_status add_knob(void *user, const at_template_line *line)
{
    knob_table *table = user;
    bool launch = at_template_is(line, "launch"), option = at_template_is(line, "option");
    if (!launch && !option && !at_template_is(line, "knob"))
        return ACTUNE_OK;
    if (table->knobs == AT_KNOBS_MAX)
        return at_fail(ACTUNE_SYNTAX, "%s:%d: more than %d knobs", line->in->name, line->line, AT_KNOBS_MAX);
    at_knob *knob = &table->knob[table->knobs++];
    const char *at = line->rest, *end = line->rest + line->length;
    knob->launch = launch;
    knob->option = option;
    knob->name = next_word(&at, end);
    for (const char *value; (value = next_word(&at, end));) {
        if (knob->values == AT_KNOB_VALUES_MAX)
            return at_fail(ACTUNE_SYNTAX, "%s:%d: more than %d values", line->in->name, line->line, AT_KNOB_VALUES_MAX);
        knob->value[knob->values++] = value;
    }
    if (!knob->name || !knob->values)
        return at_fail(ACTUNE_SYNTAX, "%s:%d: a knob needs a name and values", line->in->name, line->line);
    return ACTUNE_OK;
}

static actune_status load_table(const char *template_name, const knob_table **table)
{
    for (int i = 0; i < table_count; i++)
        if (!strcmp(tables[i].template_name, template_name)) {
            *table = &tables[i];
            return ACTUNE_OK;
        }
    at_template_text text;
    AT_TRY(at_template_get(template_name, &text));
    if (table_count == TEMPLATES_MAX)
        return at_fail(ACTUNE_INTERNAL, "more than %d templates", TEMPLATES_MAX);
    knob_table *fresh = &tables[table_count];
    *fresh = (knob_table){.template_name = at_arena_strdup(&arena, template_name)};
    if (!fresh->template_name)
        return at_fail(ACTUNE_NO_MEMORY, "out of memory while reading the knobs of %s", template_name);
    AT_TRY(at_template_each_line(&text, add_knob, fresh));
    table_count++;
    *table = fresh;
    return ACTUNE_OK;
}

static actune_status get_table(const char *template_name, const knob_table **table)
{
    pthread_mutex_lock(&lock);
    actune_status status = load_table(template_name, table);
    pthread_mutex_unlock(&lock);
    return status;
}

actune_status at_template_knobs(const char *template_name, const at_knob **knobs, int *count)
{
    const knob_table *table;
    AT_TRY(get_table(template_name, &table));
    *knobs = table->knob;
    *count = table->knobs;
    return ACTUNE_OK;
}

static const at_knob *find_knob(const knob_table *table, const char *name)
{
    for (int i = 0; i < table->knobs; i++)
        if (!strcmp(table->knob[i].name, name))
            return &table->knob[i];
    return NULL;
}

static actune_status unknown_knob(const knob_table *table, const char *name)
{
    at_strbuf known = {0};
    for (int i = 0; i < table->knobs; i++)
        at_strbuf_printf(&known, " %s", table->knob[i].name);
    actune_status status = at_fail(ACTUNE_INVALID_ARGUMENT, "%s has no knob '%s'; it has:%s", table->template_name,
                                   name, at_strbuf_text(&known));
    at_strbuf_clear(&known);
    return status;
}

static actune_status unknown_value(const at_knob *knob, const char *value)
{
    at_strbuf known = {0};
    for (int i = 0; i < knob->values; i++)
        at_strbuf_printf(&known, " %s", knob->value[i]);
    actune_status status = at_fail(ACTUNE_INVALID_ARGUMENT, "knob '%s' has no value '%s'; it takes:%s", knob->name,
                                   value, at_strbuf_text(&known));
    at_strbuf_clear(&known);
    return status;
}

actune_status at_variant_set(at_variant *variant, const char *name, const char *value)
{
    const knob_table *table;
    AT_TRY(get_table(variant->template_name, &table));
    const at_knob *knob = find_knob(table, name);
    if (!knob)
        return unknown_knob(table, name);
    for (int v = 0; v < knob->values; v++)
        if (!strcmp(knob->value[v], value)) {
            variant->knob[knob - table->knob].value = knob->value[v];
            return ACTUNE_OK;
        }
    return unknown_value(knob, value);
}

const char *at_variant_knob(const at_variant *variant, const char *name, const char *fallback)
{
    for (int i = 0; i < variant->knobs; i++)
        if (!strcmp(variant->knob[i].name, name))
            return variant->knob[i].value;
    return fallback;
}

void at_variant_print(const at_variant *variant, at_strbuf *out)
{
    at_strbuf_append(out, variant->template_name);
    for (int i = 0; i < variant->knobs; i++)
        at_strbuf_printf(out, " %s=%s", variant->knob[i].name, variant->knob[i].value);
}

/* Knobs that the text leaves out have their first value: what was tuned before a knob existed stays usable. */
actune_status at_variant_parse(const char *text, at_arena *strings, at_variant *variant)
{
    char *copy = at_arena_strdup(strings, text), *rest = NULL;
    if (!copy)
        return at_fail(ACTUNE_NO_MEMORY, "out of memory");
    const knob_table *table;
    const char *name = strtok_r(copy, " ", &rest);
    if (!name)
        return at_fail(ACTUNE_SYNTAX, "a variant is 'template knob=value ...', not an empty text");
    AT_TRY(get_table(name, &table));
    *variant = (at_variant){.template_name = table->template_name, .knobs = table->knobs};
    for (int i = 0; i < table->knobs; i++)
        variant->knob[i] = (at_knob_setting){table->knob[i].name, table->knob[i].value[0]};
    for (char *word; (word = strtok_r(NULL, " ", &rest));) {
        char *equals = strchr(word, '=');
        if (!equals)
            return at_fail(ACTUNE_SYNTAX, "'%s' in the variant '%s' is not knob=value", word, text);
        *equals = 0;
        AT_TRY(at_variant_set(variant, word, equals + 1));
    }
    return ACTUNE_OK;
}
