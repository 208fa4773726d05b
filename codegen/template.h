/* The template expander: text with `$` lines and `${expressions}` -> text. The language is described in
 * templates/README.md. */
#ifndef AT_CODEGEN_TEMPLATE_H
#define AT_CODEGEN_TEMPLATE_H

#include "../runtime/base/status.h"
#include "../runtime/base/strbuf.h"

typedef struct at_value {
    bool is_text;
    int64_t number;
    const char *text;
    size_t length; /* of text, which need not end there */
} at_value;

typedef struct at_variable {
    const char *name;
    int index; /* in ${name[index]}; -1 for a plain variable */
    at_value value;
} at_variable;

/* What expressions can name. `{0}` is an empty scope. Names and texts belong to the caller and must live as long. A
   later variable hides an earlier one of the same name. */
typedef struct at_scope {
    at_variable *variable;
    int count, capacity;
    bool failed; /* memory ran out; sticky, reported by the next expansion */
} at_scope;

void at_scope_clear(at_scope *scope);
void at_scope_number(at_scope *scope, const char *name, int index, int64_t number);
void at_scope_text(at_scope *scope, const char *name, int index, const char *text);
/* A number when the text is a decimal integer, else a text: how knob values become variables. */
void at_scope_knob(at_scope *scope, const char *name, const char *text);

/* Evaluates one expression. SYNTAX, or INVALID_ARGUMENT for an unknown variable; the message has no position. */
actune_status at_expression_eval(const char *text, size_t length, const at_scope *scope, at_value *value);
bool at_value_true(const at_value *value);
void at_value_print(const at_value *value, at_strbuf *out);

typedef struct at_template_text {
    const char *name; /* for messages and #line: "cpu/elementwise.c.in" */
    const char *text;
    size_t length;
    int first_line;
} at_template_text;

/* The embedded template called `name` ("cpu/elementwise", the file's name without its ending); NOT_FOUND. */
actune_status at_template_get(const char *name, at_template_text *text);

/* Appends the expansion of `text` to `out`. `lines`: with #line directives. Errors name the template and the line:
   SYNTAX, INVALID_ARGUMENT (unknown variable), UNSUPPORTED (a $require line that does not hold), NO_MEMORY. The scope
   is as before when it returns. */
actune_status at_template_expand(const at_template_text *text, at_scope *scope, bool lines, at_strbuf *out);

/* Calls `visit` for each `$word rest` line whose word is `word` ("knob", "launch", "option", "require", "fragment"), includes
   followed, in order; stops at the first status that is not ACTUNE_OK and returns it. `rest` ends at `rest + length`.
 */
typedef struct at_template_line {
    const at_template_text *in;
    int line;
    const char *word, *rest;
    size_t word_length, length;
    const char *next; /* where the following line begins */
} at_template_line;
actune_status at_template_each_line(const at_template_text *text,
                                    actune_status (*visit)(void *user, const at_template_line *line), void *user);
bool at_template_is(const at_template_line *line, const char *word);

#endif
