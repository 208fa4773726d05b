#include "requirement.h"

#include "../runtime/base/number.h"
#include <string.h>

typedef struct side {
    int parameter; /* -1: a number */
    double number;
} side;

typedef struct clause {
    const char *text;
    size_t length;
    side left, right;
    bool less, equal; /* <= : both; >= : equal alone */
} clause;

static const char *skip_space(const char *at)
{
    return at + strspn(at, " \t");
}

static bool read_side(const at_activation *a, const char **at, side *s)
{
    size_t length = strcspn(*at, " \t;<>=");
    const char *name = *at;
    *at = skip_space(name + length);
    s->parameter = -1;
    for (int i = 0; i < a->parameters; i++)
        if (strlen(a->parameter[i].name) == length && !memcmp(a->parameter[i].name, name, length))
            s->parameter = i;
    return s->parameter >= 0 || at_number_parse(name, length, &s->number) == AT_NUMBER_OK;
}

/* The clause at *at, which goes to the next one; false where it cannot be read. */
static bool read_clause(const at_activation *a, const char **at, clause *c)
{
    *c = (clause){.text = skip_space(*at)};
    const char *here = c->text;
    if (!read_side(a, &here, &c->left) || c->left.parameter < 0 || !*here || !strchr("<>", *here))
        return false;
    c->less = *here++ == '<';
    c->equal = *here == '=';
    here = skip_space(here + c->equal);
    if (!read_side(a, &here, &c->right) || (*here && *here != ';'))
        return false;
    c->length = (size_t)(here - c->text);
    while (c->length && strchr(" \t", c->text[c->length - 1]))
        c->length--;
    *at = skip_space(here + (*here == ';'));
    return true;
}

actune_status at_requirements_check(const at_activation *activation, const char *requirements)
{
    for (const char *at = requirements; *at;) {
        const char *start = at;
        clause c;
        if (!read_clause(activation, &at, &c))
            return at_fail(ACTUNE_SYNTAX, "'%s' is no requirement of %s: expected PARAMETER <= VALUE (or <, >=, >), where VALUE is a "
                           "number or another parameter", start, activation->name);
    }
    return ACTUNE_OK;
}

static bool holds(const clause *c, double left, double right)
{
    if (left == right)
        return c->equal;
    return c->less ? left < right : left > right;
}

bool at_requirements_broken(const at_stage *stage, int *bad, at_strbuf *out)
{
    const char *at = stage->activation->requirements;
    clause c;
    while (at && *at && read_clause(stage->activation, &at, &c)) {
        const at_argument *left = &stage->argument[c.left.parameter];
        const at_argument *right = c.right.parameter >= 0 ? &stage->argument[c.right.parameter] : NULL;
        if (left->learn || (right && right->learn) || holds(&c, left->value, right ? right->value : c.right.number))
            continue;
        *bad = c.left.parameter;
        at_strbuf_printf(out, "%s needs %.*s, and %s is ", stage->activation->name, (int)c.length, c.text, left->name);
        at_strbuf_double(out, left->value);
        if (right) {
            at_strbuf_printf(out, ", %s ", right->name);
            at_strbuf_double(out, right->value);
        }
        return true;
    }
    return false;
}
