#include "codegen/spec.h"
#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static void check_canonical(const char *text, const char *canonical)
{
    at_spec spec, again;
    cr_assert_eq(at_spec_parse(text, &spec), ACTUNE_OK, "%s: %s", text, actune_last_error());
    cr_assert_str_eq(spec.canonical, canonical);
    cr_assert_eq(at_spec_parse(spec.canonical, &again), ACTUNE_OK, "%s: %s", spec.canonical, actune_last_error());
    cr_assert_str_eq(again.canonical, canonical);
    at_spec_clear(&again);
    at_spec_clear(&spec);
    cr_assert_null(spec.canonical);
}

/* The status, and that the message begins with `message` ("" skips it). */
static void check_error(const char *text, actune_status status, const char *message)
{
    at_spec spec;
    cr_assert_eq(at_spec_parse(text, &spec), status, "%s gave %s", text, actune_last_error());
    cr_assert_eq(spec.stages, 0);
    cr_assert_null(spec.canonical);
    cr_assert_null(spec.arena.head);
    cr_assert(!strncmp(actune_last_error(), message, strlen(message)), "%s\ngave\n%s\nnot\n%s", text,
              actune_last_error(), message);
}

Test(spec, canonical)
{
    static const char *const cases[][2] = {
        {"relu", "relu"},
        {"  ReLU\t", "relu"},
        {"relu()", "relu"},
        {"relu( )|clip( -6 ,+6. )", "relu | clip(-6, 6)"},
        {"gelu\n| clip(lo=-6,\n hi=6)", "gelu | clip(-6, 6)"},
        {"gelu | clip(hi=6, lo=-6)", "gelu | clip(-6, 6)"},
        {"clip(-INF, inf)", "clip(-inf, inf)"},
        {"clip(0, infinity)", "clip(0, inf)"},
        {"clip(-0, 1e-3)", "clip(-0, 0.001)"},
        {"clip(3, 3)", "clip(3, 3)"},
        {"bias|SILU|mul|add", "bias | silu | mul | add"},
        {"scale_shift | add | relu", "scale_shift | add | relu"},
        {"bias() | bias", "bias | bias"},
        {"silu", "silu"},
        {"Standardize", "standardize"},
        {"standardize(1e-5)", "standardize"},
        {"standardize( CHANNEL )|relu", "standardize(channel) | relu"},
        {"standardize(channel, 1e-3)", "standardize(channel, eps=0.001)"},
        {"standardize(eps = 0)", "standardize(eps=0)"},
        {"[ pass=2, accuracy=fast]standardize", "[accuracy=fast, pass=2] standardize"},
        {"swish", "swish"},
        {"swish(1)", "swish"},
        {"swish(beta=1.0)", "swish"},
        {"swish(beta=1.5)", "swish(beta=1.5)"},
        {"swish(learn)", "swish(beta=learn)"},
        {"swish(BETA = Learn)", "swish(beta=learn)"},
        {"prelu(alpha=channel)", "prelu(alpha=channel)"},
        {"leaky_relu(.1)", "leaky_relu(alpha=0.1)"},
        {"leaky_relu(0.10000000000000001)", "leaky_relu(alpha=0.1)"},
        {"leaky_relu(1e-2)", "leaky_relu"},
        {"leaky_relu(Negative_Slope=0.2)", "leaky_relu(alpha=0.2)"},
        {"prelu(weight=learn)", "prelu(alpha=learn)"},
        {"swiglu", "silu | mul"},
        {"bias | GEGLU | clip(-1, 1)", "bias | gelu | mul | clip(-1, 1)"},
        {"HALVES|silu | mul", "halves | silu | mul"},
        {"halves( Second ) | sigmoid | mul", "halves(second) | sigmoid | mul"},
        {"swiglu(halves)", "halves | silu | mul"},
        {"glu ( HALVES ) | clip(-1, 1)", "halves(second) | sigmoid | mul | clip(-1, 1)"},
        {"glu(first)", "halves | sigmoid | mul"},
        {"geglu_tanh(second)", "halves(second) | gelu_tanh | mul"},
        {"halves | bias | relu | mul(channel) | mul | mul", "halves | bias | relu | mul(channel) | mul | mul"},
        {"add( channel )|mul(CHANNEL)", "add(channel) | mul(channel)"},
        {"glu | reglu | geglu_tanh", "sigmoid | mul | relu | mul | gelu_tanh | mul"},
        {"GELU_new | LogSigmoid", "gelu_tanh | log_sigmoid"},
        {"elu(-0)", "elu(alpha=-0)"},
        {"grad_clip(1) | relu", "grad_clip(1) | relu"},
        {"grad_clip(v=0.5)", "grad_clip(0.5)"},
        {"relu | GRAD_NORM", "relu | grad_norm"},
        {"[accuracy=standard] relu", "relu"},
        {"[Accuracy = FAST]relu", "[accuracy=fast] relu"},
        {"[semantics=cudnn,accuracy=exact] relu", "[accuracy=exact, semantics=cudnn] relu"},
        {"[semantics=torch] relu", "relu"},
        {"[semantics=cudnn] clip(0, 6)", "[semantics=cudnn] clip(0, 6)"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        check_canonical(cases[i][0], cases[i][1]);
    for (int i = 0; i < at_activation_count(); i++) {
        const at_activation *activation = at_activation_get(i);
        check_canonical(activation->name, activation->name);
        if (*activation->aliases && !strchr(activation->aliases, ' '))
            check_canonical(activation->aliases, activation->name);
    }
}

Test(spec, stages)
{
    at_spec spec;
    cr_assert_eq(at_spec_parse("[accuracy=fast] bias | elu(alpha=channel) | clip(-1, 2.5) | grad_clip(3)", &spec),
                 ACTUNE_OK);
    cr_assert_eq(spec.accuracy, AT_ACCURACY_FAST);
    cr_assert_eq(spec.semantics, AT_SEMANTICS_TORCH);
    cr_assert_eq(spec.stages, 4);
    cr_assert_eq(spec.stage[0].kind, AT_STAGE_BIAS);
    cr_assert_eq(spec.stage[0].column, 17);
    cr_assert_eq(spec.stage[1].kind, AT_STAGE_ACTIVATION);
    cr_assert_str_eq(spec.stage[1].activation->name, "elu");
    cr_assert_eq(spec.stage[1].arguments, 1);
    cr_assert_eq(spec.stage[1].argument[0].learn, AT_LEARN_CHANNEL);
    cr_assert_eq(spec.stage[1].column, 24);
    cr_assert_eq(spec.stage[2].kind, AT_STAGE_CLIP);
    cr_assert_eq(spec.stage[2].argument[0].value, -1);
    cr_assert_eq(spec.stage[2].argument[1].value, 2.5);
    cr_assert_eq(spec.stage[3].kind, AT_STAGE_GRAD_CLIP);
    cr_assert_eq(spec.stage[3].argument[0].value, 3);
    at_spec_clear(&spec);
    cr_assert_eq(at_spec_parse("elu", &spec), ACTUNE_OK);
    cr_assert_eq(spec.stage[0].arguments, 1, "defaults are filled in");
    cr_assert_eq(spec.stage[0].argument[0].value, 1);
    cr_assert_str_eq(spec.stage[0].argument[0].name, "alpha");
    at_spec_clear(&spec);
}

Test(spec, errors)
{
    static const struct {
        const char *text;
        actune_status status;
        const char *message;
    } cases[] = {
        {"bias | gleu | clip(-6, 6)", ACTUNE_SYNTAX,
         "spec:1:8: unknown stage 'gleu'; did you mean 'glu' or 'gelu'?\n  bias | gleu | clip(-6, 6)\n         ^"},
        {"bias |\n  cilp(0, 1)", ACTUNE_SYNTAX,
         "spec:2:3: unknown stage 'cilp'; did you mean 'clip'?\n    cilp(0, 1)\n    ^"},
        {"standardize(-1)", ACTUNE_SYNTAX, "spec:1:13: standardize's eps is negative"},
        {"standardize(channel, channel)", ACTUNE_SYNTAX, "spec:1:22: 'eps' of standardize is a constant"},
        {"standardize(rows=1)", ACTUNE_SYNTAX, "spec:1:13: unknown argument 'rows'; standardize takes channel, eps"},
        {"standardize | topk(3)", ACTUNE_UNSUPPORTED, "spec:1:15: topk does not go with standardize in one pipeline yet"},
        {"stats | standardize", ACTUNE_UNSUPPORTED, "spec:1:1: stats does not go with standardize in one pipeline yet"},
        {"halves | relu | mul | standardize", ACTUNE_UNSUPPORTED, "spec:1:1: halves does not go with standardize"},
        {"[pass=0] standardize", ACTUNE_SYNTAX, "spec:1:7: pass is one of 1, 2"},
        {"xyzzy", ACTUNE_SYNTAX, "spec:1:1: unknown stage 'xyzzy'; `actune ops` lists all stages"},
        {"", ACTUNE_SYNTAX, "spec:1:1: a spec has at least one stage, for example 'relu'\n  \n  ^"},
        {" \t\n", ACTUNE_SYNTAX, "spec:2:1: a spec has at least one stage"},
        {"[accuracy=fast]", ACTUNE_SYNTAX, "spec:1:16: a spec has at least one stage"},
        {"relu |", ACTUNE_SYNTAX, "spec:1:7: a stage is missing here\n  relu |\n        ^"},
        {"| relu", ACTUNE_SYNTAX, "spec:1:1: a stage is missing here"},
        {"relu | | bias", ACTUNE_SYNTAX, "spec:1:8: a stage is missing here"},
        {"relu bias", ACTUNE_SYNTAX, "spec:1:6: expected '|' or the end here"},
        {"relu)", ACTUNE_SYNTAX, "spec:1:5: expected '|' or the end here"},
        {"relu] | bias", ACTUNE_SYNTAX, "spec:1:5: expected '|' or the end here"},
        {"relu [accuracy=fast]", ACTUNE_SYNTAX, "spec:1:6: attributes in brackets stand in front of the first stage"},
        {"(relu)", ACTUNE_SYNTAX, "spec:1:1: expected a stage here, not '('"},
        {"6", ACTUNE_SYNTAX, "spec:1:1: expected a stage here, not '6'"},
        {"clip(6, -6)", ACTUNE_SYNTAX, "spec:1:6: clip's lo is greater than its hi\n  clip(6, -6)\n       ^"},
        {"hardshrink(-1)", ACTUNE_SYNTAX, "spec:1:12: hardshrink needs lambd >= 0, and lambd is -1\n  hardshrink(-1)\n             ^"},
        {"hardsigmoid(alpha=0)", ACTUNE_SYNTAX, "spec:1:19: hardsigmoid needs alpha > 0, and alpha is 0\n  hardsigmoid(alpha=0)\n                    ^"},
        {"hardtanh(2, 1)", ACTUNE_SYNTAX, "spec:1:10: hardtanh needs min_val <= max_val, and min_val is 2, max_val 1\n  hardtanh(2, 1)\n           ^"},
        {"clip(hi=-1, lo=inf)", ACTUNE_SYNTAX, "spec:1:16: clip's lo is greater than its hi"},
        {"clip(nan, 1)", ACTUNE_SYNTAX, "spec:1:6: 'lo' of clip cannot be NaN"},
        {"clip(0, -NaN)", ACTUNE_SYNTAX, "spec:1:9: 'hi' of clip cannot be NaN"},
        {"clip", ACTUNE_SYNTAX, "spec:1:1: missing argument 'lo'; clip takes lo, hi"},
        {"clip()", ACTUNE_SYNTAX, "spec:1:1: missing argument 'lo'"},
        {"clip(1)", ACTUNE_SYNTAX, "spec:1:1: missing argument 'hi'"},
        {"clip(hi=1)", ACTUNE_SYNTAX, "spec:1:1: missing argument 'lo'"},
        {"clip(0, 1, 2)", ACTUNE_SYNTAX, "spec:1:12: too many arguments; clip takes lo, hi"},
        {"clip(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0)", ACTUNE_SYNTAX, "spec:1:32: too many arguments"},
        {"clip(0, lo=1)", ACTUNE_SYNTAX, "spec:1:9: 'lo' of clip is given twice"},
        {"clip(hi=0, hi=1)", ACTUNE_SYNTAX, "spec:1:12: 'hi' of clip is given twice"},
        {"clip(lo=0, 1)", ACTUNE_SYNTAX, "spec:1:12: a value without a name cannot follow a named one"},
        {"clip(low=0, hi=1)", ACTUNE_SYNTAX, "spec:1:6: unknown argument 'low'; clip takes lo, hi"},
        {"clip(0 1)", ACTUNE_SYNTAX, "spec:1:8: expected ',' or ')' here"},
        {"clip(0, 1", ACTUNE_SYNTAX, "spec:1:10: the '(' of clip is not closed"},
        {"clip(0, 1 | relu", ACTUNE_SYNTAX, "spec:1:11: the '(' of clip is not closed"},
        {"clip(", ACTUNE_SYNTAX, "spec:1:6: the '(' of clip is not closed"},
        {"clip(0,", ACTUNE_SYNTAX, "spec:1:8: the '(' of clip is not closed"},
        {"clip(,1)", ACTUNE_SYNTAX, "spec:1:6: expected a value of clip here"},
        {"clip(0,)", ACTUNE_SYNTAX, "spec:1:8: expected a value of clip here"},
        {"clip(lo=, hi=1)", ACTUNE_SYNTAX, "spec:1:9: expected a value of clip here"},
        {"clip(0, 1.5.2)", ACTUNE_SYNTAX, "spec:1:9: '1.5.2' is not a number"},
        {"clip(0, 0x10)", ACTUNE_SYNTAX, "spec:1:9: '0x10' is not a number"},
        {"clip(0, 1e)", ACTUNE_SYNTAX, "spec:1:9: '1e' is not a number"},
        {"clip(0, 1e999)", ACTUNE_SYNTAX, "spec:1:9: '1e999' is too large for a number; write inf for no bound"},
        {"clip(learn, 1)", ACTUNE_SYNTAX, "spec:1:6: 'lo' of clip is a constant, it cannot be learned"},
        {"clip(0, channel)", ACTUNE_SYNTAX, "spec:1:9: 'hi' of clip is a constant, it cannot be learned"},
        {"grad_clip(-1)", ACTUNE_SYNTAX, "spec:1:11: grad_clip's limit is negative"},
        {"grad_clip(inf)", ACTUNE_SYNTAX, "spec:1:11: 'v' of grad_clip must be finite"},
        {"grad_clip", ACTUNE_SYNTAX, "spec:1:1: missing argument 'v'"},
        {"relu(1)", ACTUNE_SYNTAX, "spec:1:6: too many arguments; relu takes no arguments"},
        {"bias(1)", ACTUNE_SYNTAX, "spec:1:6: too many arguments; bias takes no arguments"},
        {"elu(beta=1)", ACTUNE_SYNTAX, "spec:1:5: unknown argument 'beta'; elu takes alpha"},
        {"elu(1, 2)", ACTUNE_SYNTAX, "spec:1:8: too many arguments; elu takes alpha"},
        {"elu(1, alpha=2)", ACTUNE_SYNTAX, "spec:1:8: 'alpha' of elu is given twice"},
        {"elu(nan)", ACTUNE_SYNTAX, "spec:1:5: 'alpha' of elu cannot be NaN"},
        {"elu(inf)", ACTUNE_SYNTAX, "spec:1:5: 'alpha' of elu must be finite"},
        {"elu(x)", ACTUNE_SYNTAX, "spec:1:5: 'x' is not a number, 'learn' or 'channel'"},
        {"elu(alpha==1)", ACTUNE_SYNTAX, "spec:1:11: expected a value of elu here"},
        {"[] relu", ACTUNE_SYNTAX, "spec:1:2: expected an attribute here, one of accuracy, semantics"},
        {"[speed=fast] relu", ACTUNE_SYNTAX, "spec:1:2: unknown attribute 'speed'; there are accuracy, semantics"},
        {"[accuracy=quick] relu", ACTUNE_SYNTAX, "spec:1:11: accuracy is one of exact, standard, fast"},
        {"[accuracy] relu", ACTUNE_SYNTAX, "spec:1:10: expected '=' after 'accuracy'"},
        {"[accuracy=fast, accuracy=fast] relu", ACTUNE_SYNTAX, "spec:1:17: the attribute 'accuracy' is given twice"},
        {"[accuracy=fast relu", ACTUNE_SYNTAX, "spec:1:16: expected ',' or ']' here"},
        {"[accuracy=fast,] relu", ACTUNE_SYNTAX, "spec:1:16: expected an attribute here"},
        {"[accuracy=fast] [semantics=cudnn] relu", ACTUNE_SYNTAX, "spec:1:17: expected a stage here, not '['"},
        {"re\x01lu", ACTUNE_SYNTAX, "spec:1:3: control character 0x01\n  re?lu\n    ^"},
        {"clip(\xe2\x88\x92"
         "6, 6)",
         ACTUNE_SYNTAX, "spec:1:6: byte 0xe2 is no ASCII character"},
        {"relu\x7f", ACTUNE_SYNTAX, "spec:1:5: byte 0x7f is no ASCII character"},
        {"@", ACTUNE_SYNTAX, "spec:1:1: a function of your own is written '@file.c:function'"},
        {"@file.c", ACTUNE_SYNTAX, "spec:1:1: a function of your own is written"},
        {"@:f", ACTUNE_SYNTAX, "spec:1:1: a function of your own is written"},
        {"@file.c:", ACTUNE_SYNTAX, "spec:1:9: expected the name of a C function here"},
        {"@file.c:1f", ACTUNE_SYNTAX, "spec:1:9: expected the name of a C function here"},
        {"relu | @no/such.c:f(1)", ACTUNE_NOT_FOUND, "spec:1:8: cannot read 'no/such.c': No such file or directory"},
        {"relu | halves | mul", ACTUNE_SYNTAX, "spec:1:8: halves takes x apart: it can only be the first stage"},
        {"halves | halves | mul", ACTUNE_SYNTAX, "spec:1:10: halves takes x apart"},
        {"relu | swiglu(halves)", ACTUNE_SYNTAX, "spec:1:8: halves takes x apart"},
        {"halves | relu", ACTUNE_SYNTAX, "spec:1:1: halves needs a later 'mul'"},
        {"halves | relu | mul(channel)", ACTUNE_SYNTAX, "spec:1:1: halves needs a later 'mul'"},
        {"halves(third) | mul", ACTUNE_SYNTAX, "spec:1:8: too many arguments; halves takes no arguments but 'second'"},
        {"swiglu(rows)", ACTUNE_SYNTAX, "spec:1:8: swiglu takes the gate as input and the other tensor as operand 'mul'; swiglu(halves)"},
        {"swiglu(halves", ACTUNE_SYNTAX, "spec:1:14: the '(' of swiglu is not closed"},
        {"[from=output] halves | relu | mul", ACTUNE_SYNTAX, "spec:1:15: from=output and halves do not go together"},
        {"[from=output] mul(channel) | relu | mul", ACTUNE_SYNTAX, "spec:1:37: from=output: behind mul"},
        {"mul(chanel)", ACTUNE_SYNTAX, "spec:1:5: too many arguments; mul takes no arguments but 'channel'"},
        {"halves | relu | mul | topk(3)", ACTUNE_UNSUPPORTED, "spec:1:23: topk does not go together with halves"},
        {"topk(3) | relu | mul(channel)", ACTUNE_UNSUPPORTED, "spec:1:1: topk does not go together with mul(channel)"},
        {"@/:f", ACTUNE_IO, "spec:1:1: cannot read '/': it is no regular file"},
        {"@/dev/zero:f", ACTUNE_IO, "spec:1:1: cannot read '/dev/zero': it is no regular file"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        check_error(cases[i].text, cases[i].status, cases[i].message);
    check_error(NULL, ACTUNE_INVALID_ARGUMENT, "no spec");
}

Test(spec, quantisation)
{
    static const char *const canonical[][2] = {
        {"relu|Quantize( I8 , scale = 5e-2 )", "relu | quantize(i8, scale=0.05)"},
        {"quantize(u8, 0.5, 3)", "quantize(u8, scale=0.5, zero_point=3)"},
        {"quantize(u8, zero_point=tensor, scale=channel)", "quantize(u8, scale=channel, zero_point=tensor)"},
        {"quantize(type=f8e5m2, scale=TENSOR)", "quantize(f8e5m2, scale=tensor)"},
        {"quantize(i8, scale=1, zero_point=0)", "quantize(i8, scale=1)"},
        {"dequantize(0.1)|quantize(i8,scale=2)|dequantize(scale=2)|tanh", "dequantize(scale=0.1) | quantize(i8, scale=2) | dequantize(scale=2) | tanh"},
    };
    for (size_t i = 0; i < sizeof canonical / sizeof *canonical; i++) {
        at_spec spec;
        cr_assert_eq(at_spec_parse(canonical[i][0], &spec), ACTUNE_OK, "%s", actune_last_error());
        cr_assert_str_eq(spec.canonical, canonical[i][1]);
        at_spec_clear(&spec);
    }
    static const char *const wrong[][2] = {
        {"relu | quantize(i8)", "spec:1:8: missing argument 'scale'; quantize takes type, scale, zero_point"},
        {"quantize(scale=1)", "spec:1:1: missing argument 'type'"},
        {"relu | quantize(i7, scale=1)", "spec:1:17: 'i7' is no type of quantize: it is i8, u8, f8e4m3 or f8e5m2"},
        {"quantize(i8, scale=0)", "spec:1:20: the scale must be greater than 0"},
        {"quantize(i8, scale=-0.5)", "spec:1:20: the scale must be greater than 0"},
        {"quantize(i8, scale=1e-40)", "spec:1:20: the scale is no normal f32 number"},
        {"quantize(i8, scale=1e39)", "spec:1:20: the scale is no normal f32 number"},
        {"quantize(i8, scale=nan)", "spec:1:20: 'scale' of quantize cannot be NaN"},
        {"quantize(i8, scale=inf)", "spec:1:20: 'scale' of quantize must be finite"},
        {"quantize(i8, scale=learn)", "spec:1:20: 'learn' is not a number, 'tensor' or 'channel'"},
        {"quantize(i8, scale=1, zero_point=3)", "spec:1:34: only u8 has a zero point; the other types are symmetric"},
        {"quantize(f8e4m3, scale=1, zero_point=tensor)", "spec:1:38: only u8 has a zero point"},
        {"quantize(u8, scale=1, zero_point=0.5)", "spec:1:34: the zero point must be a whole number"},
        {"quantize(u8, scale=1, zero_point=256)", "spec:1:34: the zero point is none of the type's numbers"},
        {"dequantize(scale=1, zero_point=-129)", "spec:1:32: the zero point is none of the type's numbers"},
        {"dequantize", "spec:1:1: missing argument 'scale'; dequantize takes scale, zero_point"},
        {"quantize(i8, scale=1) | relu", "spec:1:25: quantize is the last stage, or dequantize follows it"},
        {"relu | dequantize(scale=1)", "spec:1:8: dequantize is the first stage, or follows quantize"},
        {"quantize(f8e5m2, scale=1) | dequantize(scale=1)", "spec:1:29: quantize(f8e5m2) is the last stage"},
        {"[from=output] relu | quantize(i8, scale=1)", "spec:1:22: from=output: behind quantize"},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        check_error(wrong[i][0], ACTUNE_SYNTAX, wrong[i][1]);
}

/* What the design names and this version lacks is not a mistake of the user's. */
Test(spec, not_yet)
{
    static const char *const cases[] = {
        "cast(bf16)",
        "log_sigmoid | softmax",
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        check_error(cases[i], ACTUNE_UNSUPPORTED, "spec:1:");
        cr_assert(strstr(actune_last_error(), "not supported yet in this version"), "%s", actune_last_error());
    }
}

/* [from=output] where the gradient is a function of y, and why not elsewhere, at the stage that it fails for. */
Test(spec, from_output)
{
    static const char *const served[][2] = {
        {"[from=output] relu", "[from=output] relu"},
        {"[FROM = output, accuracy=fast]relu", "[accuracy=fast, from=output] relu"},
        {"[from=input] relu", "relu"},
        {"[from=output] leaky_relu(0)", "[from=output] leaky_relu(alpha=0)"},
        {"[from=output] elu(0.5)", "[from=output] elu(alpha=0.5)"},
        {"[from=output] celu", "[from=output] celu"},
        {"[from=output] selu", "[from=output] selu"},
        {"[from=output] logistic", "[from=output] sigmoid"},
        {"[from=output] tanh", "[from=output] tanh"},
        {"[from=output] hardtanh(-2, 2)", "[from=output] hardtanh(min_val=-2, max_val=2)"},
        {"[from=output] relu6", "[from=output] relu6"},
        {"[semantics=cudnn, from=output] relu", "[semantics=cudnn, from=output] relu"},
        {"[from=output] scale_shift | add | grad_clip(2) | relu | grad_clip(1)",
         "[from=output] scale_shift | add | grad_clip(2) | relu | grad_clip(1)"},
        {"[from=output] mul | bias | tanh", "[from=output] mul | bias | tanh"},
        /* clips that no value reaches beyond */
        {"[from=output] relu | clip(0, inf)", "[from=output] relu | clip(0, inf)"},
        {"[from=output] sigmoid | clip(-0.5, 1)", "[from=output] sigmoid | clip(-0.5, 1)"},
        {"[from=output] relu6 | clip(0, 6)", "[from=output] relu6 | clip(0, 6)"},
    };
    static const char *const refused[][2] = {
        {"[from=output] silu", "spec:1:15: from=output: silu has no gradient"},
        {"[from=output] prelu(learn)", "spec:1:15: from=output: prelu has no gradient"},
        {"[from=output] leaky_relu(-0.1)", "spec:1:15: from=output: leaky_relu with this parameter has one output for several"},
        {"[from=output] leaky_relu(learn)", "spec:1:15: from=output: leaky_relu has a learned parameter"},
        {"[from=output] elu(alpha=0)", "spec:1:15: from=output: elu with this parameter"},
        {"[from=output] elu(-1)", "spec:1:15: from=output: elu with this parameter"},
        {"[from=output] celu(-1)", "spec:1:15: from=output: celu with this parameter"},
        {"[from=output] bias | add", "spec:1:15: from=output needs an activation"},
        {"[from=output] clip(0, 6)", "spec:1:15: from=output needs an activation"},
        {"[from=output] tanh | relu", "spec:1:15: from=output: the gradient of tanh in front of the activation"},
        {"[from=output] bias | clip(-1, 1) | relu", "spec:1:22: from=output: the gradient of clip in front"},
        {"[from=output] relu | clip(0, 6)", "spec:1:22: from=output: where the output is a bound of clip"},
        {"[from=output] elu | clip(-1, inf)", "spec:1:21: from=output: where the output is a bound of clip"},
        {"[from=output, semantics=cudnn] tanh | clip(-5, 5)", "spec:1:39: from=output: where the output"},
        {"[from=output]\n relu |\n add", "spec:3:2: from=output: behind add the output no longer tells"},
        {"[from=output] standardize | relu", "spec:1:15: from=output does not go with standardize: its gradient needs the statistics"},
        {"[from=y] relu", "spec:1:7: from is one of input, output"},
    };
    for (size_t i = 0; i < sizeof served / sizeof *served; i++)
        check_canonical(served[i][0], served[i][1]);
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++)
        check_error(refused[i][0], ACTUNE_SYNTAX, refused[i][1]);
}

Test(spec, limits)
{
    char text[AT_SPEC_LENGTH_MAX + 8] = "";
    at_spec spec;
    for (int i = 0; i < AT_STAGES_MAX; i++)
        strcat(text, i ? "|bias" : "bias");
    cr_assert_eq(at_spec_parse(text, &spec), ACTUNE_OK);
    cr_assert_eq(spec.stages, AT_STAGES_MAX);
    at_spec_clear(&spec);
    strcat(text, "|bias");
    check_error(text, ACTUNE_SYNTAX, "spec:1:161: a spec has at most 32 stages\n  ...");
    memset(text, ' ', AT_SPEC_LENGTH_MAX);
    memcpy(text, "relu", 4);
    text[AT_SPEC_LENGTH_MAX] = 0;
    cr_assert_eq(at_spec_parse(text, &spec), ACTUNE_OK);
    cr_assert_str_eq(spec.canonical, "relu");
    at_spec_clear(&spec);
    strcat(text, " ");
    check_error(text, ACTUNE_SYNTAX, "spec: longer than 4096 characters");
    memset(text, 'a', AT_SPEC_LENGTH_MAX);
    text[AT_SPEC_LENGTH_MAX] = 0;
    check_error(text, ACTUNE_SYNTAX,
                "spec:1:1: unknown stage 'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa'; `actune ops`");
}

static void write_file(const char *path, const char *text, size_t bytes)
{
    FILE *file = fopen(path, "w");
    cr_assert(file);
    cr_assert_eq(fwrite(text, 1, bytes, file), bytes);
    cr_assert_eq(fclose(file), 0);
}

Test(spec, user_function)
{
    static char big[(1 << 20) + 1];
    static const char source[] = "float my_act(float x, float Alpha, float beta)\n{\n    return x * Alpha + beta;\n}\n";
    char folder[] = "/tmp/actune-spec-XXXXXX";
    at_spec spec;
    cr_assert(mkdtemp(folder) && !chdir(folder));
    write_file("my:act.c", source, strlen(source));
    write_file("nul.c", "int\0f;", 6);
    memset(big, ' ', sizeof big);
    write_file("big.c", big, sizeof big);
    cr_assert_eq(mkfifo("pipe.c", 0600), 0);
    cr_assert_eq(at_spec_parse("relu | @my:act.c:my_act( 0.3 , BETA=learn ) | clip(-1,1)", &spec), ACTUNE_OK, "%s",
                 actune_last_error());
    cr_assert_str_eq(spec.canonical, "relu | @my:act.c:my_act(Alpha=0.3, beta=learn) | clip(-1, 1)");
    cr_assert_str_eq(spec.stage[1].file, "my:act.c");
    cr_assert_str_eq(spec.stage[1].function, "my_act");
    cr_assert_str_eq(spec.stage[1].activation->name, "my_act");
    at_spec_clear(&spec);
    check_canonical("@my:act.c:my_act(Alpha=1, beta=2)", "@my:act.c:my_act(Alpha=1, beta=2)");
    check_error("@my:act.c:my_act(1)", ACTUNE_SYNTAX, "spec:1:1: missing argument 'beta'; my_act takes Alpha, beta");
    check_error("@my:act.c:my_act(1, gamma=2)", ACTUNE_SYNTAX,
                "spec:1:21: unknown argument 'gamma'; my_act takes Alpha, beta");
    check_error("@my:act.c:your_act", ACTUNE_NOT_FOUND, "");
    check_error("@my:act.c:my_act(1, 2) | softmax", ACTUNE_UNSUPPORTED, "spec:1:26:");
    check_error("@nul.c:f", ACTUNE_SYNTAX, "spec:1:1: cannot read 'nul.c': it holds a NUL byte");
    check_error("@big.c:f", ACTUNE_UNSUPPORTED, "spec:1:1: cannot read 'big.c': it is larger than 1 MiB");
    check_error("@pipe.c:f", ACTUNE_IO, "spec:1:1: cannot read 'pipe.c': it is no regular file");
    remove("my:act.c");
    remove("nul.c");
    remove("big.c");
    remove("pipe.c");
    cr_assert_eq(rmdir(folder), 0);
}

/* A text given by the caller stands in for a file, is found first, and is named in its errors. */
Test(spec, user_function_from_a_text)
{
    static const actune_source sources[] = {
        {"twice.c", "float twice(float x) { return 2 * x; }\n"},
        {"bad.c", "float f(float x)\n{\n    return *(&x);\n}\n"},
    };
    at_spec spec;
    cr_assert_eq(at_spec_parse_with("@twice.c:twice | relu", sources, 2, &spec), ACTUNE_OK, "%s", actune_last_error());
    cr_assert_str_eq(spec.canonical, "@twice.c:twice | relu");
    cr_assert_eq(spec.stage[0].activation->graph.outputs, 1);
    at_spec_clear(&spec);
    cr_assert_neq(at_spec_parse_with("@bad.c:f", sources, 2, &spec), ACTUNE_OK);
    cr_assert(strstr(actune_last_error(), "bad.c:3:"), "%s", actune_last_error());
    cr_assert_eq(at_spec_parse_with("@other.c:f", sources, 2, &spec), ACTUNE_NOT_FOUND); /* no such text: it is a file */
    cr_assert_eq(at_spec_parse("@twice.c:twice", &spec), ACTUNE_NOT_FOUND);
    static const struct {
        actune_source source[2];
        int count;
        const char *says;
    } wrong[] = {
        {{{NULL, "x"}}, 1, "source 0 has no name"},
        {{{"", "x"}}, 1, "source 0 has no name"},
        {{{"a.c", NULL}}, 1, "source 0 has no text"},
        {{{"a.c", "x"}, {"a.c", "y"}}, 2, "sources 0 and 1 are both named 'a.c'"},
        {{{"a.c", "x"}}, -1, "-1 sources"},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        cr_assert_eq(at_spec_parse_with("relu", wrong[i].source, wrong[i].count, &spec), ACTUNE_INVALID_ARGUMENT);
        cr_assert(strstr(actune_last_error(), wrong[i].says), "%s", actune_last_error());
    }
    cr_assert_eq(at_spec_parse_with("relu", NULL, 1, &spec), ACTUNE_INVALID_ARGUMENT);
}

/* The activation layers of real networks: every row is a spec, or names a stage that is still to come. */
Test(spec, workloads)
{
    static const char *const names[] = {"bert_large", "darknet53",    "efficientnet_b0",    "gemma2_9b", "gpt2_xl",
                                        "llama3_8b",  "mobilenet_v2", "mobilenet_v3_large", "resnet152"};
    int specs = 0, planned = 0;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char path[500], line[1000];
        snprintf(path, sizeof path, "%s/bench/workloads/%s.jsonl", ACTUNE_SOURCE_DIR, names[i]);
        FILE *file = fopen(path, "r");
        cr_assert(file, "%s", path);
        while (fgets(line, sizeof line, file)) {
            char *text = strstr(line, "\"spec\": \"");
            at_spec spec;
            cr_assert(text, "%s", line);
            text += strlen("\"spec\": \"");
            text[strcspn(text, "\"")] = 0;
            actune_status status = at_spec_parse(text, &spec);
            cr_assert(status == ACTUNE_OK || status == ACTUNE_UNSUPPORTED, "%s: %s", path, actune_last_error());
            specs += status == ACTUNE_OK;
            planned += status == ACTUNE_UNSUPPORTED;
            if (status == ACTUNE_OK)
                at_spec_clear(&spec);
        }
        fclose(file);
    }
    cr_assert_gt(specs, 700);
    cr_assert_lt(planned, 20);
}
