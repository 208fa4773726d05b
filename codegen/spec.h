/* The spec language: "[accuracy=fast] bias | swish(beta=learn) | clip(-6, 6)" -> stages. */
#ifndef AT_CODEGEN_SPEC_H
#define AT_CODEGEN_SPEC_H

#include "../runtime/base/arena.h"
#include "../runtime/base/strbuf.h"
#include "activation.h"

typedef enum at_accuracy { AT_ACCURACY_EXACT, AT_ACCURACY_STANDARD, AT_ACCURACY_FAST } at_accuracy;
typedef enum at_semantics { AT_SEMANTICS_TORCH, AT_SEMANTICS_CUDNN } at_semantics;

typedef enum at_stage_kind {
    AT_STAGE_ACTIVATION,  /* function + arguments */
    AT_STAGE_BIAS,        /* operand per channel: x + bias */
    AT_STAGE_HALVES,      /* x is rows of two halves: goes on with the first; of_word "second": with that one */
    AT_STAGE_ADD,         /* operand of y's shape, of_word "channel": one value a plane: x + add */
    AT_STAGE_MUL,         /* the same: x * mul; takes_half: the operand is the half of x that `halves` left over */
    AT_STAGE_SCALE_SHIFT, /* operands per channel: x * scale + shift (one fma) */
    AT_STAGE_CLIP,        /* lo, hi */
    AT_STAGE_GRAD_CLIP,   /* v */
    AT_STAGE_GRAD_NORM,   /* identity; going back, the sum of squares */
    AT_STAGE_DROPOUT,     /* p; operand: seed and offset */
    AT_STAGE_RRELU_TRAINING, /* lower, upper; operand: seed and offset */
    AT_STAGE_STATS,       /* identity; forward, an output with statistics of the value; of_word "channel": per channel */
    AT_STAGE_QUANTIZE,    /* type, scale, zero_point; scale and zero_point may be operands */
    AT_STAGE_DEQUANTIZE,  /* scale, zero_point, likewise */
    AT_STAGE_TOPK,        /* k, by (0: value, 1: magnitude) */
    AT_STAGE_STANDARDIZE  /* eps; flag: each channel by itself */
} at_stage_kind;

typedef enum at_learn { AT_LEARN_NO, AT_LEARN_SCALAR, AT_LEARN_CHANNEL } at_learn;

typedef struct at_argument {
    const char *name; /* parameter's canonical name */
    double value;     /* when constant; which one, where the form lists words */
    at_learn learn;   /* otherwise an operand: one value, or one per channel */
} at_argument;

enum { AT_STAGES_MAX = 32, AT_ARGUMENTS_MAX = 8, AT_SPEC_LENGTH_MAX = 4096 };

typedef struct at_stage {
    at_stage_kind kind;
    const at_activation *activation; /* ACTIVATION: built-in or the user's; NULL for other kinds */
    const char *file, *function;     /* "@file.c:function" as written; NULL for built-ins */
    bool of_word;                    /* the word that the stage may have as argument is there: add(channel) */
    bool takes_half;
    at_argument argument[AT_ARGUMENTS_MAX]; /* one for each parameter, in its order, defaults filled in */
    int arguments;
    bool flag;                       /* the form's word was given: standardize(channel) */
    size_t at;                       /* of its first character in the text */
    int column;                      /* the same in its line, from 1 */
} at_stage;

typedef struct at_spec {
    at_arena arena; /* owns all of it */
    at_stage stage[AT_STAGES_MAX];
    int stages;
    at_accuracy accuracy;
    at_semantics semantics;
    bool from_output; /* backward reads y in place of x */
    bool halves;      /* the first stage is `halves` */
    int pass; /* only this one of the pipeline's passes, from 1; 0: all */
    const char *canonical; /* lower case, one space around |, arguments by name, defaults left out */
} at_spec;

/* Parses. A user's function ("@my_act.c:my_act(alpha=0.3)", path relative to the working directory) is read through libclang
   (parse_clang.h). On error nothing is kept and the message has the text with
   a caret under the column: unknown stage (nearest names), lo > hi, NaN, missing, unknown or repeated arguments, no stages,
   a gradient that is no function of the output under [from=output] ...
   Errors: SYNTAX, NOT_FOUND (file), UNSUPPORTED, NO_MEMORY. Clear with at_spec_clear. */
actune_status at_spec_parse(const char *text, at_spec *spec);
/* The same, where "@name:function" names one of `sources` before it names a file. Their texts are not kept. INVALID_ARGUMENT: a source
   without name or text, or two of one name. */
actune_status at_spec_parse_with(const char *text, const actune_source *sources, int source_count, at_spec *spec);
void at_spec_clear(at_spec *spec);

const char *at_accuracy_name(at_accuracy accuracy);

/* Names that stand for several stages ("swiglu": silu | mul), for lists and suggestions; NULL behind the last. */
const char *at_spec_gated_unit(int index);

#endif
