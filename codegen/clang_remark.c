#include "clang_remark.h"

#include "../runtime/base/number.h"
#include "requirement.h"
#include <string.h>

/* The rest of a remark that is being read. */
typedef struct reading {
    const at_source *source;
    const at_remark *remark;
    const char *at;
    at_arena *arena;
    at_activation *activation;
} reading;

static void skip_space(reading *r)
{
    r->at += strspn(r->at, " \t\r");
}

static bool skip_word(reading *r, const char *word)
{
    size_t length = strlen(word);
    if (strncmp(r->at, word, length) || (r->at[length] && !strchr(" \t\r", r->at[length])))
        return false;
    r->at += length;
    skip_space(r);
    return true;
}

static uint32_t offset(const reading *r)
{
    return r->remark->offset + (uint32_t)(r->at - r->remark->text);
}

/* What is left, without the spaces at its end. */
static actune_status take_rest(reading *r, const char **text)
{
    size_t length = strlen(r->at);
    while (length && strchr(" \t\r", r->at[length - 1]))
        length--;
    *text = at_arena_strndup(r->arena, r->at, length);
    return *text ? ACTUNE_OK : at_fail(ACTUNE_NO_MEMORY, "out of memory while reading %s", r->source->path);
}

static at_parameter *find_parameter(const reading *r, const char *name, size_t length)
{
    for (int i = 0; i < r->activation->parameters; i++)
        if (strlen(r->activation->parameter[i].name) == length &&
            !memcmp(r->activation->parameter[i].name, name, length))
            return &r->activation->parameter[i];
    return NULL;
}

/* "alpha = 0.01" */
static actune_status take_default(reading *r)
{
    size_t length = strcspn(r->at, "= \t\r,");
    at_parameter *parameter = find_parameter(r, r->at, length);
    if (!parameter)
        return at_source_fail(r->source, ACTUNE_SYNTAX, offset(r),
                              "'%.*s' is no parameter of %s (the first one, the input, has no default)", (int)length,
                              r->at, r->activation->name);
    if (parameter->has_default)
        return at_source_fail(r->source, ACTUNE_SYNTAX, offset(r), "'%s' has two defaults", parameter->name);
    r->at += length;
    skip_space(r);
    if (*r->at != '=')
        return at_source_fail(r->source, ACTUNE_SYNTAX, offset(r), "expected '= value' behind '%s'", parameter->name);
    r->at++;
    skip_space(r);
    length = strcspn(r->at, ", \t\r");
    if (at_number_parse(r->at, length, &parameter->default_value) != AT_NUMBER_OK)
        return at_source_fail(r->source, ACTUNE_SYNTAX, offset(r), "'%.*s' is no number", (int)length, r->at);
    parameter->has_default = true;
    r->at += length;
    skip_space(r);
    return ACTUNE_OK;
}

/* "negative_slope of alpha": another name of a parameter. False: the remark has another form. */
static bool take_parameter_alias(reading *r, actune_status *status)
{
    const char *start = r->at;
    size_t length = strcspn(r->at, " \t\r");
    const char *of = r->at + length + strspn(r->at + length, " \t\r");
    if (strncmp(of, "of", 2) || !of[2] || !strchr(" \t", of[2]))
        return false;
    r->at = of + 2;
    skip_space(r);
    size_t name_length = strcspn(r->at, " \t\r");
    at_parameter *parameter = find_parameter(r, r->at, name_length);
    if (!parameter || r->at[name_length + strspn(r->at + name_length, " \t\r")]) {
        *status = at_source_fail(r->source, ACTUNE_SYNTAX, offset(r), "'%.*s' is no parameter of %s", (int)name_length, r->at, r->activation->name);
        return true;
    }
    parameter->aliases = at_arena_printf(r->arena, "%s%s%.*s", parameter->aliases, *parameter->aliases ? " " : "", (int)length, start);
    *status = parameter->aliases ? ACTUNE_OK : at_fail(ACTUNE_NO_MEMORY, "out of memory while reading %s", r->source->path);
    return true;
}

/* "lambd >= 0", behind "require"; several remarks add up. */
static actune_status take_requirement(reading *r)
{
    uint32_t at = offset(r);
    const char *text;
    at_activation *a = r->activation;
    AT_TRY(take_rest(r, &text));
    if (!*text || at_requirements_check(a, text))
        return at_source_fail(r->source, ACTUNE_SYNTAX, at, "expected 'require PARAMETER <= VALUE' (or <, >=, >), VALUE a number or a parameter");
    a->requirements = at_arena_printf(r->arena, "%s%s%s", a->requirements, *a->requirements ? "; " : "", text);
    return a->requirements ? ACTUNE_OK : at_fail(ACTUNE_NO_MEMORY, "out of memory while reading %s", r->source->path);
}

/* "relu from its output", behind "gradient of" */
static actune_status take_gradient(reading *r)
{
    size_t length = strcspn(r->at, " \t\r");
    r->activation->gradient_of = at_arena_strndup(r->arena, r->at, length);
    if (!r->activation->gradient_of)
        return at_fail(ACTUNE_NO_MEMORY, "out of memory while reading %s", r->source->path);
    r->at += length;
    skip_space(r);
    if (skip_word(r, "from") && skip_word(r, "its") && skip_word(r, "output") && !*r->at)
        return ACTUNE_OK;
    return at_source_fail(r->source, ACTUNE_SYNTAX, offset(r), "expected 'gradient of NAME from its output'");
}

static actune_status apply(reading *r)
{
    at_activation *a = r->activation;
    if (!strncmp(r->at, "formula:", 8)) {
        r->at += 8;
        skip_space(r);
        return take_rest(r, &a->formula);
    }
    r->at += strlen("actune:");
    skip_space(r);
    actune_status status;
    if (skip_word(r, "alias"))
        return take_parameter_alias(r, &status) ? status : take_rest(r, &a->aliases);
    if (skip_word(r, "require"))
        return take_requirement(r);
    if (skip_word(r, "name"))
        return take_rest(r, &a->name);
    if (skip_word(r, "gradient") && skip_word(r, "of"))
        return take_gradient(r);
    for (;;) {
        AT_TRY(take_default(r));
        if (!*r->at)
            return ACTUNE_OK;
        if (*r->at != ',')
            return at_source_fail(r->source, ACTUNE_SYNTAX, offset(r), "expected ',' between two defaults");
        r->at++;
        skip_space(r);
    }
}

actune_status at_remarks_apply(const at_source *source, uint32_t begin, uint32_t end, at_arena *arena,
                               at_activation *activation)
{
    for (int i = 0; i < source->remark_count; i++) {
        const at_remark *remark = &source->remarks[i];
        reading r = {source, remark, remark->text, arena, activation};
        if (remark->offset >= begin && remark->offset < end)
            AT_TRY(apply(&r));
    }
    return ACTUNE_OK;
}
