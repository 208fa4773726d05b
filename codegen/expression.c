/* Integer and string expressions of templates: || && == != < <= > >= + - * / % ! and parentheses, as in C. */
#include "template.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

typedef struct parser {
    const char *at, *end;
    const at_scope *scope;
    int skip; /* > 0: the value is not needed (right of a decided && or ||) */
    int depth;
    actune_status status;
} parser;

enum { DEPTH_MAX = 64 };

static at_value number_of(int64_t number)
{
    return (at_value){.number = number};
}

static at_value fail(parser *p, actune_status code, const char *message, const char *text, size_t length)
{
    if (p->status == ACTUNE_OK)
        p->status = at_fail(code, "%s '%.*s'", message, (int)length, text);
    p->at = p->end;
    return number_of(0);
}

static void skip_space(parser *p)
{
    while (p->at < p->end && isspace((unsigned char)*p->at))
        p->at++;
}

static bool take(parser *p, const char *token)
{
    skip_space(p);
    size_t length = strlen(token);
    if ((size_t)(p->end - p->at) < length || memcmp(p->at, token, length))
        return false;
    p->at += length;
    return true;
}

static at_value expression(parser *p);

static at_value look_up(parser *p, const char *name, size_t length, int64_t index)
{
    if (p->skip > 0)
        return number_of(0);
    for (int i = p->scope->count - 1; i >= 0; i--) {
        const at_variable *v = &p->scope->variable[i];
        if (v->index == index && !strncmp(v->name, name, length) && !v->name[length])
            return v->value;
    }
    if (index < 0)
        return fail(p, ACTUNE_INVALID_ARGUMENT, "unknown variable", name, length);
    p->status = p->status ? p->status
                          : at_fail(ACTUNE_INVALID_ARGUMENT, "unknown variable '%.*s[%lld]'", (int)length, name,
                                    (long long)index);
    return number_of(0);
}

static at_value name(parser *p)
{
    const char *start = p->at;
    while (p->at < p->end && (isalnum((unsigned char)*p->at) || *p->at == '_'))
        p->at++;
    size_t length = (size_t)(p->at - start);
    if (p->at >= p->end || *p->at != '[')
        return look_up(p, start, length, -1);
    p->at++;
    at_value index = expression(p);
    if (!take(p, "]"))
        return fail(p, ACTUNE_SYNTAX, "no ']' after the index of", start, length);
    if (index.is_text || (index.number < 0 && !p->skip))
        return fail(p, ACTUNE_SYNTAX, "the index must be a number that is not negative in", start, length);
    return look_up(p, start, length, index.number);
}

static at_value string(parser *p)
{
    const char *start = ++p->at;
    const char *quote = memchr(start, '"', (size_t)(p->end - start));
    if (!quote)
        return fail(p, ACTUNE_SYNTAX, "no closing quote in", start, (size_t)(p->end - start));
    p->at = quote + 1;
    return (at_value){.is_text = true, .text = start, .length = (size_t)(quote - start)};
}

static at_value literal(parser *p)
{
    int64_t number = 0;
    const char *start = p->at;
    for (; p->at < p->end && isdigit((unsigned char)*p->at); p->at++)
        if (__builtin_mul_overflow(number, 10, &number) || __builtin_add_overflow(number, *p->at - '0', &number))
            return fail(p, ACTUNE_SYNTAX, "number too large:", start, (size_t)(p->end - start));
    return number_of(number);
}

static at_value unary(parser *p)
{
    if (++p->depth > DEPTH_MAX)
        return fail(p, ACTUNE_SYNTAX, "nested too deeply:", p->at, (size_t)(p->end - p->at));
    at_value value;
    skip_space(p);
    if (p->at >= p->end)
        value = fail(p, ACTUNE_SYNTAX, "the expression ends too early", "", 0);
    else if (take(p, "!")) {
        at_value operand = unary(p);
        value = number_of(!at_value_true(&operand));
    } else if (take(p, "-"))
        value = number_of(-unary(p).number);
    else if (take(p, "(")) {
        value = expression(p);
        if (!take(p, ")"))
            value = fail(p, ACTUNE_SYNTAX, "no ')' before", p->at, (size_t)(p->end - p->at));
    } else if (*p->at == '"')
        value = string(p);
    else if (isdigit((unsigned char)*p->at))
        value = literal(p);
    else if (isalpha((unsigned char)*p->at) || *p->at == '_')
        value = name(p);
    else
        value = fail(p, ACTUNE_SYNTAX, "unexpected text", p->at, (size_t)(p->end - p->at));
    p->depth--;
    return value;
}

typedef enum binary_op { OR, AND, EQ, NE, LE, GE, LT, GT, ADD, SUB, MUL, DIV, MOD } binary_op;

/* Longer tokens first; level 0 binds least. */
static const struct {
    const char *token;
    int level;
    binary_op op;
} operators[] = {{"||", 0, OR}, {"&&", 1, AND}, {"==", 2, EQ}, {"!=", 2, NE}, {"<=", 3, LE},
                 {">=", 3, GE}, {"<", 3, LT},   {">", 3, GT},  {"+", 4, ADD}, {"-", 4, SUB},
                 {"*", 5, MUL}, {"/", 5, DIV},  {"%", 5, MOD}};
enum { OPERATORS = sizeof operators / sizeof *operators, LEVELS = 6 };

static at_value combine_texts(parser *p, binary_op op, at_value a, at_value b)
{
    if (p->skip > 0)
        return number_of(0);
    if (a.is_text != b.is_text || (op != EQ && op != NE))
        return fail(p, ACTUNE_SYNTAX, "texts can only be compared with == and != to texts, here",
                    a.is_text ? a.text : b.text, a.is_text ? a.length : b.length);
    bool equal = a.length == b.length && !memcmp(a.text, b.text, a.length);
    return number_of(equal == (op == EQ));
}

static at_value combine(parser *p, binary_op op, at_value a, at_value b)
{
    if (op == OR)
        return number_of(at_value_true(&a) || at_value_true(&b));
    if (op == AND)
        return number_of(at_value_true(&a) && at_value_true(&b));
    if (a.is_text || b.is_text)
        return combine_texts(p, op, a, b);
    int64_t x = a.number, y = b.number, r = 0;
    bool overflow = false;
    if ((op == DIV || op == MOD) && (y == 0 || y == -1)) {
        if (!p->skip)
            return fail(p, ACTUNE_SYNTAX, "division by 0 or -1", "", 0);
        return number_of(0);
    }
    switch (op) {
    case EQ:
        return number_of(x == y);
    case NE:
        return number_of(x != y);
    case LE:
        return number_of(x <= y);
    case GE:
        return number_of(x >= y);
    case LT:
        return number_of(x < y);
    case GT:
        return number_of(x > y);
    case ADD:
        overflow = __builtin_add_overflow(x, y, &r);
        break;
    case SUB:
        overflow = __builtin_sub_overflow(x, y, &r);
        break;
    case MUL:
        overflow = __builtin_mul_overflow(x, y, &r);
        break;
    case DIV:
        r = x / y;
        break;
    default:
        r = x % y;
        break;
    }
    return overflow ? fail(p, ACTUNE_SYNTAX, "number too large", "", 0) : number_of(r);
}

static at_value binary(parser *p, int level)
{
    if (level == LEVELS)
        return unary(p);
    at_value left = binary(p, level + 1);
    skip_space(p);
    for (int i = 0; i < OPERATORS && p->at < p->end && p->status == ACTUNE_OK;) {
        if (operators[i].level != level || !take(p, operators[i].token)) {
            i++;
            continue;
        }
        binary_op op = operators[i].op;
        bool decided = (op == AND && !at_value_true(&left)) || (op == OR && at_value_true(&left));
        p->skip += decided;
        at_value right = binary(p, level + 1);
        p->skip -= decided;
        left = combine(p, op, left, right);
        skip_space(p);
        i = 0;
    }
    return left;
}

static at_value expression(parser *p)
{
    return binary(p, 0);
}

actune_status at_expression_eval(const char *text, size_t length, const at_scope *scope, at_value *value)
{
    parser p = {.at = text, .end = text + length, .scope = scope};
    /* Most are a name alone: no need to walk through all levels of operators. */
    size_t letters = 0;
    while (letters < length && (isalnum((unsigned char)text[letters]) || text[letters] == '_'))
        letters++;
    if (letters > 0 && letters == length && !isdigit((unsigned char)*text)) {
        *value = look_up(&p, text, length, -1);
        return p.status;
    }
    *value = expression(&p);
    skip_space(&p);
    if (p.status == ACTUNE_OK && p.at < p.end)
        fail(&p, ACTUNE_SYNTAX, "unexpected text", p.at, (size_t)(p.end - p.at));
    return p.status;
}

bool at_value_true(const at_value *value)
{
    return value->is_text ? value->length > 0 : value->number != 0;
}

void at_value_print(const at_value *value, at_strbuf *out)
{
    if (value->is_text)
        at_strbuf_append_n(out, value->text, value->length);
    else
        at_strbuf_printf(out, "%lld", (long long)value->number);
}

void at_scope_clear(at_scope *scope)
{
    free(scope->variable);
    *scope = (at_scope){0};
}

static void add(at_scope *scope, const char *variable_name, int index, at_value value)
{
    if (scope->count == scope->capacity) {
        int capacity = scope->capacity ? 2 * scope->capacity : 64;
        at_variable *grown = realloc(scope->variable, (size_t)capacity * sizeof *grown);
        if (!grown) {
            scope->failed = true;
            return;
        }
        scope->variable = grown;
        scope->capacity = capacity;
    }
    scope->variable[scope->count++] = (at_variable){variable_name, index, value};
}

void at_scope_number(at_scope *scope, const char *variable_name, int index, int64_t number)
{
    add(scope, variable_name, index, number_of(number));
}

void at_scope_text(at_scope *scope, const char *variable_name, int index, const char *text)
{
    add(scope, variable_name, index, (at_value){.is_text = true, .text = text, .length = strlen(text)});
}

void at_scope_knob(at_scope *scope, const char *variable_name, const char *text)
{
    size_t digits = strspn(text, "0123456789");
    if (digits > 0 && digits < 10 && !text[digits])
        at_scope_number(scope, variable_name, -1, atoi(text));
    else
        at_scope_text(scope, variable_name, -1, text);
}
