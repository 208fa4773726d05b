/* Which forms of the math knob reach which class: from the text of a spec to the approximated kernel. */
#include "codegen/emit_math.h"
#include "codegen/fit.h"
#include "codegen/kernel.h"

#include <criterion/criterion.h>
#include <string.h>

typedef struct form_case {
    const char *spec;
    actune_direction direction;
    const char *form;
    int stretches; /* -1: UNSUPPORTED */
    int degree;    /* of the worst fit, at most; 0: no fit */
} form_case;

static const form_case cases[] = {
    {"silu", ACTUNE_FORWARD, "fit16", 1, 5},
    {"silu", ACTUNE_FORWARD, "fit32", 1, 4},
    {"silu", ACTUNE_FORWARD, "fit8", 1, 7},
    {"silu", ACTUNE_FORWARD, "wide", 1, 0},
    {"[accuracy=fast] silu", ACTUNE_FORWARD, "fit16", 1, 2},
    {"[accuracy=fast] silu", ACTUNE_FORWARD, "exp32rcp", 0, 0},
    {"silu", ACTUNE_FORWARD, "exp32rcp", -1, 0},
    {"[accuracy=exact] silu", ACTUNE_FORWARD, "fit32", 1, 4},
    {"[accuracy=exact] gelu", ACTUNE_FORWARD, "fit32", 1, 4},
    {"[accuracy=exact] gelu", ACTUNE_FORWARD, "poly", -1, 0},
    {"[accuracy=exact] silu", ACTUNE_FORWARD, "wide", 1, 0},
    {"sigmoid", ACTUNE_FORWARD, "exp32", 0, 0},
    {"sigmoid", ACTUNE_FORWARD, "fit32", -1, 0},
    {"[accuracy=exact] sigmoid", ACTUNE_FORWARD, "accurate", 0, 0},
    {"[accuracy=exact] sigmoid", ACTUNE_FORWARD, "exp32", -1, 0},
    {"tanh", ACTUNE_FORWARD, "exp32", -1, 0},
    {"selu", ACTUNE_FORWARD, "fit32", 1, 5},
    {"selu", ACTUNE_BACKWARD, "fit32", 1, 5},
    {"gelu | clip(-6, 6)", ACTUNE_FORWARD, "fit16", 1, 5},
    {"clip(-3, 3) | tanh", ACTUNE_FORWARD, "fit16", 1, 5},
    {"leaky_relu | tanh", ACTUNE_FORWARD, "fit16", 1, 5},
    {"bias | silu | add | tanh", ACTUNE_FORWARD, "fit16", 2, 5},
    {"silu | clip(-0.1, 4) | tanh", ACTUNE_FORWARD, "fit16", 2, 5},
    {"gelu", ACTUNE_BACKWARD, "fit16", 1, 5},
    {"gelu_tanh", ACTUNE_BACKWARD, "fit16", 1, 5},
    {"silu", ACTUNE_BACKWARD, "fit16", 1, 5},
    {"elu", ACTUNE_BACKWARD, "fit16", 1, 6},
    {"mish", ACTUNE_BACKWARD, "fit32", 1, 5},
    {"gelu | clip(-6, 6)", ACTUNE_BACKWARD, "fit16", 2, 5},
    {"swish(beta=learn)", ACTUNE_FORWARD, "exp32", 0, 0},
    {"relu", ACTUNE_FORWARD, "fit16", -1, 0},
    {"relu", ACTUNE_FORWARD, "wide", 0, 0},
};

static at_kernel lower(const char *text, actune_direction direction, actune_dtype dtype)
{
    at_spec spec;
    at_kernel kernel;
    cr_assert_eq(at_spec_parse(text, &spec), ACTUNE_OK, "%s: %s", text, actune_last_error());
    at_kernel_request request = {.direction = direction, .dtype_in = dtype, .dtype_out = dtype};
    cr_assert_eq(at_kernel_lower(&spec, &request, &kernel), ACTUNE_OK, "%s: %s", text, actune_last_error());
    at_spec_clear(&spec);
    return kernel;
}

static void check_case(const form_case *c)
{
    at_kernel kernel = lower(c->spec, c->direction, ACTUNE_F32);
    at_strbuf before = {0}, after = {0};
    at_graph_print(&kernel.graph, &before);
    actune_status status = at_pass_approximate(&kernel, c->form);
    if (c->stretches < 0) {
        at_graph_print(&kernel.graph, &after);
        cr_assert_eq(status, ACTUNE_UNSUPPORTED, "%s with math=%s", c->spec, c->form);
        cr_assert_str_eq(at_strbuf_text(&before), at_strbuf_text(&after), "%s was changed though math=%s failed", c->spec, c->form);
        cr_assert_eq(kernel.stretches, 0);
    } else {
        cr_assert_eq(status, ACTUNE_OK, "%s with math=%s: %s", c->spec, c->form, actune_last_error());
        cr_assert_eq(kernel.stretches, c->stretches, "%s with math=%s: %d stretches", c->spec, c->form, kernel.stretches);
        for (int i = 0; i < kernel.stretches; i++) {
            const at_fit *fit = kernel.stretch[i].fit;
            cr_assert_eq(fit == NULL, c->degree == 0, "%s", c->spec);
            cr_assert(!fit || fit->degree <= c->degree, "%s with math=%s: degree %d", c->spec, c->form, fit ? fit->degree : 0);
        }
    }
    at_strbuf_clear(&before);
    at_strbuf_clear(&after);
    at_kernel_clear(&kernel);
}

Test(approximate, forms_reach_their_class_or_are_refused)
{
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        check_case(&cases[i]);
}

Test(approximate, other_types_and_names)
{
    at_kernel kernel = lower("silu", ACTUNE_FORWARD, ACTUNE_F64);
    cr_assert_eq(at_pass_approximate(&kernel, "fit16"), ACTUNE_UNSUPPORTED);
    cr_assert_eq(at_pass_approximate(&kernel, "nonsense"), ACTUNE_INVALID_ARGUMENT);
    cr_assert_eq(at_pass_approximate(&kernel, "wide"), ACTUNE_OK);
    at_kernel_clear(&kernel);
    kernel = lower("silu", ACTUNE_FORWARD, ACTUNE_BF16);
    cr_assert_eq(at_pass_approximate(&kernel, "fit16"), ACTUNE_OK);
    at_kernel_clear(&kernel);
}

Test(approximate, forms_are_listed_once)
{
    for (int i = 0; i < at_math_form_count; i++) {
        cr_assert_eq(at_math_form_find(at_math_forms[i].name), &at_math_forms[i]);
        cr_assert(at_math_forms[i].kind != AT_MATH_FIT || at_math_forms[i].entries > 0);
    }
    cr_assert_null(at_math_form_find("plain"));
    cr_assert_str_eq(at_math_function_find(AT_OP_SIGMOID, "exp32")->name, "sigmoid_t32");
    cr_assert_str_eq(at_math_function_find(AT_OP_TANH, "exp32")->name, "tanh_p");
    cr_assert_null(at_math_function_find(AT_OP_SIN, "poly"));
}
