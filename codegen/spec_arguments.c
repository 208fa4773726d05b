#include "spec_parse.h"

#include "requirement.h"
#include "../runtime/base/number.h"
#include <math.h>
#include <string.h>

enum { RAW_MAX = AT_ARGUMENTS_MAX + 1 }; /* one more than any stage has, to point at it */

/* An argument as it is written. */
typedef struct raw_argument {
    at_slice name; /* length 0: by position */
    at_slice value;
    size_t name_at, value_at;
} raw_argument;

/* A parameter that arguments are bound to, of an activation or of a stage form. */
typedef struct parameter {
    const char *name, *aliases;
    bool has_default, infinite, learnable;
    double default_value;
    const char *scalar;       /* what an operand of one value is written as: "learn", "tensor" */
    const char *const *words; /* instead of a number */
} parameter;

typedef struct binding {
    const at_scan *scan;
    size_t at; /* of the stage */
    const char *stage_name, *word, *flag; /* word: what may stand alone; flag: what may stand first; NULL: none */
    parameter parameter[AT_ARGUMENTS_MAX];
    int parameters;
    bool bound[AT_ARGUMENTS_MAX];
    size_t bound_at[AT_ARGUMENTS_MAX];
} binding;

_Static_assert((int)AT_PARAMETERS_MAX <= (int)AT_ARGUMENTS_MAX, "a stage holds an argument for each parameter");

static actune_status parse_raw(at_scan *scan, const char *stage_name, raw_argument *raw)
{
    at_scan_peek(scan);
    raw->name = (at_slice){0};
    raw->name_at = raw->value_at = scan->at;
    raw->value = at_scan_value(scan);
    if (raw->value.length && at_scan_peek(scan) == '=') {
        raw->name = raw->value;
        scan->at++;
        at_scan_peek(scan);
        raw->value_at = scan->at;
        raw->value = at_scan_value(scan);
    }
    if (raw->value.length)
        return ACTUNE_OK;
    if (scan->at >= scan->length)
        return at_scan_fail(scan, scan->at, ACTUNE_SYNTAX, "the '(' of %s is not closed", stage_name);
    return at_scan_fail(scan, scan->at, ACTUNE_SYNTAX, "expected a value of %s here", stage_name);
}

/* The list in parentheses, if there is one. */
static actune_status parse_list(at_scan *scan, const char *stage_name, raw_argument *raw, int *count)
{
    *count = 0;
    if (!at_scan_take(scan, '(') || at_scan_take(scan, ')'))
        return ACTUNE_OK;
    for (;;) {
        if (*count == RAW_MAX)
            return at_scan_fail(scan, scan->at, ACTUNE_SYNTAX, "too many arguments for %s", stage_name);
        AT_TRY(parse_raw(scan, stage_name, &raw[*count]));
        ++*count;
        if (at_scan_take(scan, ')'))
            return ACTUNE_OK;
        if (!at_scan_take(scan, ','))
            break;
    }
    if (!at_scan_peek(scan) || at_scan_peek(scan) == '|')
        return at_scan_fail(scan, scan->at, ACTUNE_SYNTAX, "the '(' of %s is not closed", stage_name);
    return at_scan_fail(scan, scan->at, ACTUNE_SYNTAX, "expected ',' or ')' here");
}

/* "alpha, beta", "none". */
static void list_parameters(const binding *b, at_strbuf *out)
{
    if (b->flag)
        at_strbuf_printf(out, "%s%s", b->flag, b->parameters ? ", " : "");
    for (int i = 0; i < b->parameters; i++)
        at_strbuf_printf(out, "%s%s", i ? ", " : "", b->parameter[i].name);
    if (!b->parameters && !b->flag)
        at_strbuf_printf(out, "no arguments%s%s%s", b->word ? " but '" : "", b->word ? b->word : "", b->word ? "'" : "");
}

static actune_status fail_listing(const binding *b, size_t at, const char *what, at_slice name)
{
    at_strbuf takes = {0};
    list_parameters(b, &takes);
    at_scan_fail(b->scan, at, ACTUNE_SYNTAX, "%s%s%.*s%s; %s takes %s", what, name.length ? " '" : "",
                 AT_SLICE_SHOWN(name), name.length ? "'" : "", b->stage_name, at_strbuf_text(&takes));
    at_strbuf_clear(&takes);
    return ACTUNE_SYNTAX;
}

/* A user's C parameters may differ in case alone, so an exact match goes first. */
static int find_parameter(const binding *b, at_slice name)
{
    for (int i = 0; i < b->parameters; i++)
        if (at_slice_is(name, b->parameter[i].name))
            return i;
    for (int i = 0; i < b->parameters; i++)
        if (at_slice_is_any(name, b->parameter[i].name))
            return i;
    char lower[64];
    for (int i = 0; at_slice_lower(name, lower, sizeof lower) && i < b->parameters; i++)
        if (b->parameter[i].aliases && at_has_word(b->parameter[i].aliases, lower, strlen(lower)))
            return i;
    return -1;
}

static actune_status bind_word(const binding *b, const raw_argument *raw, const parameter *to, at_argument *argument)
{
    for (int i = 0; to->words[i]; i++) {
        argument->value = i;
        if (at_slice_is_any(raw->value, to->words[i]))
            return ACTUNE_OK;
    }
    at_strbuf list = {0};
    for (int i = 0; to->words[i]; i++)
        at_strbuf_printf(&list, "%s%s", !i ? "" : to->words[i + 1] ? ", " : " or ", to->words[i]);
    at_scan_fail(b->scan, raw->value_at, ACTUNE_SYNTAX, "'%.*s' is no %s of %s: it is %s", AT_SLICE_SHOWN(raw->value), to->name, b->stage_name,
                 at_strbuf_text(&list));
    at_strbuf_clear(&list);
    return ACTUNE_SYNTAX;
}

static actune_status bind_value(const binding *b, const raw_argument *raw, const parameter *to, at_argument *argument)
{
    *argument = (at_argument){.name = to->name};
    bool channel = at_slice_is_any(raw->value, "channel");
    if (to->words)
        return bind_word(b, raw, to, argument);
    if (channel || at_slice_is_any(raw->value, to->scalar)) {
        argument->learn = channel ? AT_LEARN_CHANNEL : AT_LEARN_SCALAR;
        if (to->learnable)
            return ACTUNE_OK;
        return at_scan_fail(b->scan, raw->value_at, ACTUNE_SYNTAX, "'%s' of %s is a constant, it cannot be learned",
                            to->name, b->stage_name);
    }
    switch (at_number_parse(raw->value.text, raw->value.length, &argument->value)) {
    case AT_NUMBER_OK:
        break;
    case AT_NUMBER_BAD:
        return at_scan_fail(b->scan, raw->value_at, ACTUNE_SYNTAX, "'%.*s' is not a number%s%s%s", AT_SLICE_SHOWN(raw->value),
                            to->learnable ? ", '" : "", to->learnable ? to->scalar : "", to->learnable ? "' or 'channel'" : "");
    case AT_NUMBER_TOO_LARGE:
        return at_scan_fail(b->scan, raw->value_at, ACTUNE_SYNTAX, "'%.*s' is too large for a number%s",
                            AT_SLICE_SHOWN(raw->value), to->infinite ? "; write inf for no bound" : "");
    }
    if (isnan(argument->value))
        return at_scan_fail(b->scan, raw->value_at, ACTUNE_SYNTAX, "'%s' of %s cannot be NaN", to->name, b->stage_name);
    if (isinf(argument->value) && !to->infinite)
        return at_scan_fail(b->scan, raw->value_at, ACTUNE_SYNTAX, "'%s' of %s must be finite", to->name,
                            b->stage_name);
    return ACTUNE_OK;
}

static actune_status bind(binding *b, const raw_argument *raw, int count, at_stage *stage)
{
    bool named = false;
    for (int i = 0; i < count; i++) {
        const at_slice none = {0};
        int index = i;
        if (raw[i].name.length) {
            named = true;
            index = find_parameter(b, raw[i].name);
            if (index < 0)
                return fail_listing(b, raw[i].name_at, "unknown argument", raw[i].name);
        } else if (named)
            return at_scan_fail(b->scan, raw[i].value_at, ACTUNE_SYNTAX,
                                "a value without a name cannot follow a named one");
        else if (index >= b->parameters)
            return fail_listing(b, raw[i].value_at, "too many arguments", none);
        if (b->bound[index])
            return at_scan_fail(b->scan, raw[i].name_at, ACTUNE_SYNTAX, "'%s' of %s is given twice",
                                b->parameter[index].name, b->stage_name);
        AT_TRY(bind_value(b, &raw[i], &b->parameter[index], &stage->argument[index]));
        b->bound[index] = true;
        b->bound_at[index] = raw[i].value_at;
    }
    return ACTUNE_OK;
}

/* Parameters that no argument was given for take their default. */
static actune_status fill(const binding *b, at_stage *stage)
{
    stage->arguments = b->parameters;
    for (int i = 0; i < b->parameters; i++) {
        const parameter *p = &b->parameter[i];
        if (b->bound[i])
            continue;
        if (!p->has_default) {
            const at_slice name = {p->name, strlen(p->name)};
            return fail_listing(b, b->at, "missing argument", name);
        }
        stage->argument[i] = (at_argument){.name = p->name, .value = p->default_value};
    }
    return ACTUNE_OK;
}

static void describe(binding *b, const at_stage_form *form, const at_activation *activation)
{
    b->flag = form ? form->flag : NULL;
    b->parameters = form ? form->parameters : activation->parameters;
    b->word = form ? form->word : NULL;
    for (int i = 0; i < b->parameters; i++) {
        if (form)
            b->parameter[i] = (parameter){.name = form->parameter[i].name,
                                          .infinite = form->parameter[i].infinite,
                                          .has_default = form->parameter[i].optional,
                                          .default_value = form->parameter[i].standard,
                                          .learnable = form->parameter[i].operand,
                                          .scalar = form->parameter[i].operand ? "tensor" : "learn",
                                          .words = form->parameter[i].words};
        else
            b->parameter[i] = (parameter){.name = activation->parameter[i].name,
                                          .aliases = activation->parameter[i].aliases,
                                          .has_default = activation->parameter[i].has_default,
                                          .default_value = activation->parameter[i].default_value,
                                          .learnable = true,
                                          .scalar = "learn"};
    }
}

/* What a stage form or an activation's own requirements say against the arguments: hardtanh(2, 1). */
static actune_status check_values(const binding *b, const at_stage_form *form, const at_stage *stage)
{
    int bad = 0;
    at_strbuf text = {0};
    const char *wrong = form && form->check ? form->check(stage->argument, &bad) : NULL;
    if (wrong)
        at_strbuf_append(&text, wrong);
    actune_status status = ACTUNE_OK;
    if (wrong || (!form && at_requirements_broken(stage, &bad, &text)))
        status = at_scan_fail(b->scan, b->bound[bad] ? b->bound_at[bad] : b->at, ACTUNE_SYNTAX, "%s", at_strbuf_text(&text));
    at_strbuf_clear(&text);
    return status;
}

/* The form's word, in front of the arguments. */
static bool take_flag(const at_stage_form *form, raw_argument *raw, int *count)
{
    if (!form || !form->flag || !*count || raw[0].name.length || !at_slice_is_any(raw[0].value, form->flag))
        return false;
    --*count;
    memmove(raw, raw + 1, (size_t)*count * sizeof *raw);
    return true;
}

actune_status at_spec_parse_arguments(at_scan *scan, size_t at, const char *name, const at_stage_form *form,
                                      at_stage *stage)
{
    raw_argument raw[RAW_MAX];
    binding b = {.scan = scan, .at = at, .stage_name = name};
    int count;
    describe(&b, form, stage->activation);
    AT_TRY(parse_list(scan, name, raw, &count));
    stage->flag = take_flag(form, raw, &count);
    if (count == 1 && form && form->word && !raw[0].name.length && at_slice_is_any(raw[0].value, form->word)) {
        stage->of_word = true;
        return ACTUNE_OK;
    }
    AT_TRY(bind(&b, raw, count, stage));
    AT_TRY(fill(&b, stage));
    return check_values(&b, form, stage);
}
