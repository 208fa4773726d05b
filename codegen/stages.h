/* The stages that are no activations: name, arguments, operands, meaning. One table serves the parser, the canonical
   text and the lowering. */
#ifndef AT_CODEGEN_STAGES_H
#define AT_CODEGEN_STAGES_H

#include "../runtime/base/signature.h"
#include "spec.h"

enum { AT_STAGE_PARAMETERS_MAX = 3 };

/* What a stage's build function is given. */
typedef struct at_stage_input {
    at_graph *graph;
    const at_stage *stage;
    at_semantics semantics;
    actune_direction direction;
    bool is_last; /* what it gives is stored */
    actune_dtype compute;
    at_node_id x;
    const at_node_id *operand; /* the stage's operands, in their order */
} at_stage_input;

typedef struct at_stage_form {
    const char *name;
    at_stage_kind kind;
    struct {
        const char *name;
        bool infinite;            /* an infinity is a value */
        bool operand;             /* may be one: written `tensor` (one value) or `channel`; operands of the form itself come first */
        bool optional;            /* left out it is `standard`, and then not part of the canonical text */
        double standard;
        const char *const *words; /* not a number but one of these, NULL behind the last; the value is its index. Written without the name unless optional */
    } parameter[AT_STAGE_PARAMETERS_MAX];
    int parameters;
    struct {
        const char *name;
        at_access access;
    } operand[AT_STAGE_PARAMETERS_MAX];
    int operands;
    const char *flag; /* a word that may stand in front of the arguments (at_stage.flag): standardize(channel) */
    bool is_row; /* looks at whole rows: one of these a pipeline */
    const char *word;     /* what may stand as the only argument; NULL: no such word */
    at_access word_access; /* with it, of the operands */
    /* What is wrong with the arguments, for people; NULL: nothing. *bad is the argument to point at. */
    const char *(*check)(const at_argument *argument, int *bad);
    /* Appends the stage's nodes, gives its value; AT_NO_NODE where memory is out. NULL: a barrier (lower_passes.c). */
    at_node_id (*build)(const at_stage_input *input);
} at_stage_form;

int at_stage_form_count(void);
const at_stage_form *at_stage_form_get(int index);
/* By its lower-case name; NULL. */
const at_stage_form *at_stage_form_find(const char *name);
/* NULL for AT_STAGE_ACTIVATION. */
const at_stage_form *at_stage_form_of(at_stage_kind kind);

/* Whether ARCHITECTURE or NUMERICS name such a stage that this version does not have. */
bool at_stage_is_planned(const char *name);

/* Appends "; did you mean 'a' or 'b'?" with the names of stages and activations that are a slip or two away, else where
   to find the list. */
void at_stage_suggest(const char *name, at_strbuf *out);

#endif
