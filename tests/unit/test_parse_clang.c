#include "codegen/parse_clang.h"
#include <criterion/criterion.h>
#include <math.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define COUNT(table) (sizeof table / sizeof *table)

/* Parses function f; fails the test when it is refused. */
static at_activation parse(const char *source, at_arena *arena)
{
    at_activation activation;
    actune_status status = at_parse_c("my.c", source, "f", arena, &activation);
    cr_assert_eq(status, ACTUNE_OK, "%s\n%s", source, actune_last_error());
    return activation;
}

static long double evaluate(const at_graph *graph, double x, double alpha)
{
    long double inputs[AT_PARAMETERS_MAX + 1] = {x, alpha}, *values = calloc((size_t)graph->count, sizeof *values);
    at_graph_eval(graph, inputs, values);
    long double result = values[graph->output[0]];
    free(values);
    return result;
}

static bool same(long double a, long double b)
{
    return (isnan(a) && isnan(b)) || (a == b && signbit(a) == signbit(b));
}

static const double samples[] = {-INFINITY, -1e30, -21, -3, -2.5, -1, -0.3, -0.0, 0.0,  1e-30,    0.1,
                                 0.5,       1,     1.5, 2,  3,    6,  20,   21,   1e30, INFINITY, NAN};

static const struct refusal {
    const char *source, *message; /* the beginning of the message */
    actune_status status;         /* 0: UNSUPPORTED */
} refusals[] = {
    {"float f(float *x) { return *x; }", "my.c:1:16: pointers are not supported", 0},
    {"float *f(float x) { return 0; }", "my.c:1:8: f must return float", 0},
    {"float f(float x)\n{\n    float *p = &x;\n    return *p;\n}", "my.c:3:12: pointers are not supported", 0},
    {"float f(float x) { return &x != 0; }", "my.c:1:27: pointers are not supported", 0},
    {"float f(float x) { float (*p)(float) = 0; return p(x); }", "my.c:1:28: pointers", 0},
    {"float f(float x) { float y[3]; return x; }", "my.c:1:26: arrays are not supported", 0},
    {"float f(float x) { return \"abc\"[0]; }", "my.c:1:27: arrays are not supported", 0},
    {"__attribute__((vector_size(16))) float g; float f(float x) { return g[0]; }", "my.c:1:69: arrays", 0},
    {"float f(float x) { float y = {1}; return y; }", "my.c:1:30: an initialiser in braces", 0},
    {"float f(float x) { struct s { float a; } t; return x; }", "my.c:1:27: only variables", 0},
    {"float f(float x) { void g(void); return x; }", "my.c:1:25: only variables may be declared", 0},
    {"float f(float x)\n{\n    for (int i = 0; i < 3; i++)\n        x += 1;\n    return x;\n}",
     "my.c:3:5: loops are not supported", 0},
    {"float f(float x) { while (x > 0) x -= 1; return x; }", "my.c:1:20: loops are not supported", 0},
    {"float f(float x) { do x += 1; while (x < 0); return x; }", "my.c:1:20: loops are not supported", 0},
    {"float f(float x) { goto end; end: return x; }", "my.c:1:20: goto is not supported", 0},
    {"float f(float x) { end: return x; }", "my.c:1:20: labels are not supported", 0},
    {"float f(float x) { switch ((int)x) { case 0: return 1; } return x; }", "my.c:1:20: switch is not", 0},
    {"float g; float f(float x) { return x + g; }", "my.c:1:40: global variable 'g'", 0},
    {"float g; float f(float x) { g = x; return x; }", "my.c:1:29: global variables are not supported", 0},
    {"extern const float g; float f(float x) { return x + g; }", "my.c:1:53: the constant 'g' has no value", 0},
    {"float f(float x) { static float s = 0; return x + s; }", "my.c:1:33: static variables", 0},
    {"float f(float x) { extern float y; return y; }", "my.c:1:33: extern variables", 0},
    {"float f(float x) { asm(\"nop\"); return x; }", "my.c:1:20: asm is not supported", 0},
    {"float f(float x) { __asm__ volatile(\"nop\" : \"+r\"(x)); return x; }", "my.c:1:20: asm is not supported", 0},
    {"float f(float x) { volatile float y = x; return y; }", "my.c:1:35: volatile is not supported", 0},
    {"float f(volatile float x) { return x; }", "my.c:1:24: volatile is not supported", 0},
    {"float f(float x, ...) { return x; }", "my.c:1:7: variadic functions", 0},
    {"int printf(const char *, ...); float f(float x) { printf(\"x\"); return x; }", "my.c:1:51: 'printf' is variadic",
     0},
    {"float f(float x) { return foo(x); }", "my.c:1:27: unknown function 'foo'", 0},
    {"float foo(float); float f(float x) { return foo(x); }", "my.c:1:45: unknown function 'foo'", 0},
    {"float f(float x) { return tahnf(x); }", "my.c:1:27: unknown function 'tahnf'; did you mean 'tanf' or 'tanhf'?",
     0},
    {"float f(float x) { return __builtin_expect(x > 0, 1); }", "my.c:1:27: unknown function '__builtin_expect'", 0},
    {"float f(float x) { return f(x - 1); }", "my.c:1:27: 'f' calls itself", 0},
    {"static float g(float x);\nstatic float h(float x) { return g(x); }\n"
     "static float g(float x) { return h(x); }\nfloat f(float x) { return g(x); }",
     "my.c:2:34: 'g' calls itself", 0},
    {"float f(float x) { double t = x; return t; }", "my.c:1:27: double in a function of float", 0},
    {"float f(float x) { return (double)x * x; }", "my.c:1:27: double in a function of float", 0},
    {"float f(float x, double a) { return x; }", "my.c:1:25: double in a function of float", 0},
    {"static double g(double x) { return x; }\nfloat f(float x) { return g(x); }", "my.c:1:15: double in a", 0},
    {"double f(double x) { float y = x; return y; }", "my.c:1:28: float in a function of double", 0},
    {"double f(double x) { return (float)x; }", "my.c:1:29: float in a function of double", 0},
    {"double f(double x) { return expf(x); }", "my.c:1:29: expf in a function of double", 0},
    {"float f(long double x) { return x; }", "my.c:1:21: type 'long double' is not supported", 0},
    {"float f(float x) { return x * 0.5L; }", "my.c:1:27: a value of type 'long double'", 0},
    {"float f(float x) { _Complex float y = x; return x; }", "my.c:1:35: type '_Complex float'", 0},
    {"float f(float x) { unsigned n = 3; return x * n; }", "my.c:1:29: type 'unsigned int'", 0},
    {"float f(float x) { float y; return x + y; }", "my.c:1:40: 'y' is read before it has a value", 0},
    {"float f(float x) { float y = y; return y; }", "my.c:1:30: 'y' is read before", 0},
    {"float f(float x) { float y; y += x; return y; }", "my.c:1:29: 'y' is read before", 0},
    {"float f(float x)\n{\n    float y;\n    if (x > 0)\n        y = 1;\n    return y;\n}",
     "my.c:6:12: 'y' is read here, but not every path", 0},
    {"float f(float x) { return x * (1 / 2); }", "my.c:1:32: division of integers", 0},
    {"float f(float x) { return x * (2147483647 + 1); }", "my.c:1:32: this overflows an int", 0},
    {"float f(float x) { return x * -(-2147483647 - 1); }", "my.c:1:31: this overflows an int", 0},
    {"float f(float x) { int n = x > 0; n *= 30000000; return n * x; }", "my.c:1:35: this integer may grow", 0},
    {"float f(float x) { int n = x; return n; }", "my.c:1:28: a real number turned into an integer", 0},
    {"float f(float x) { int n = 1; n *= 0.5f; return n; }", "my.c:1:31: a real number turned", 0},
    {"float f(float x) { return (int)x; }", "my.c:1:27: a real number turned into an integer", 0},
    {"static int g(float x) { return x; }\nfloat f(float x) { return g(x); }", "my.c:1:32: a real number", 0},
    {"float f(float x) { return x + 16777217; }", "my.c:1:31: this integer may not be exact", 0},
    {"float f(float x) { return x * 3000000000; }", "my.c:1:31: this integer constant is not an int", 0},
    {"float f(float x) { return x * 1e999; }", "my.c:1:31: this constant is too large", 0},
    {"float f(float x) { return x * 0x1p3f; }", "my.c:1:31: hexadecimal real constants", 0},
    {"float f(float x) { return (3 % 2) * x; }", "my.c:1:28: operator '%' is not supported", 0},
    {"float f(float x) { return ~1 * x; }", "my.c:1:27: operator '~' is not supported", 0},
    {"float f(float x) { return x > 0 ? x : (1 << 2); }", "my.c:1:40: operator '<<' is not supported", 0},
    {"float f(float x) { float y = (x > 0, x); return y; }", "my.c:1:31: ',' inside an expression", 0},
    {"float f(float x) { float y = x; return (y = 2) * y; }", "my.c:1:41: '=' inside an expression", 0},
    {"float f(float x) { float y = x; return (y += 2) * y; }", "my.c:1:41: an assignment inside", 0},
    {"float f(float x) { return x++ * 2; }", "my.c:1:27: ++ and -- inside", 0},
    {"float f(float x) { return x ?: 1; }", "my.c:1:27: this kind of expression", 0},
    {"float f(float x) { return ({ x; }); }", "my.c:1:27: statements inside an expression", 0},
    {"float f(float x) { return sizeof x; }", "my.c:1:27: sizeof is not supported", 0},
    {"float f(float x) { return 'a'; }", "my.c:1:27: characters are not supported", 0},
    {"float f(float x) { return _Generic(x, float: 1, default: 2); }", "my.c:1:27: _Generic", 0},
    {"float f(float x)\n{\n    if (x > 0)\n        return x;\n}", "my.c:5:1: not every path returns", 0},
    {"float f(float x) { }", "my.c:1:20: not every path returns", 0},
    {"static void g(float x) { }\nfloat f(float x) { g(x); return x; }", "my.c:1:13: type 'void'", 0},
    {"int f(float x) { return 1; }", "my.c:1:5: f must return float", 0},
    {"float f(void) { return 1; }", "my.c:1:7: f needs a parameter", 0},
    {"float f(float x, int n) { return x; }", "my.c:1:22: parameters must be real", 0},
    {"float f(float x, float a, float b, float c, float d, float e, float g, float h, float i, float j)\n{ return x; }",
     "my.c:1:7: f has more than 8 parameters", 0},
    /* What a macro brings in is found where it is used; an argument where it was written. */
    {"#define LOOP for (;;) x += 1\nfloat f(float x) { LOOP; return x; }", "my.c:2:20: loops are not", 0},
    {"#define G(y) ((y) + goo(y))\nfloat f(float x) { return G(x); }", "my.c:2:27: unknown function 'goo'", 0},
    {"#define ID(y) (y)\nfloat f(float x) { return ID(x + goo(x)); }", "my.c:2:34: unknown function 'goo'", 0},
    {"#define P(a, b) a##b\nfloat f(float x) { return x; }", "my.c:1:18: # and ## in macros", 0},
    {"#define V(...) 1\nfloat f(float x) { return x; }", "my.c:1:11: only plain names", 0},
    {"#define P(a, b) a\nfloat f(float x) { return P(x); }", "my.c:2:27: macro 'P' takes 2 arguments", ACTUNE_SYNTAX},
    {"#pragma once\nfloat f(float x) { return x; }", "my.c:1:2: #pragma is not supported", 0},
    {"_Pragma(\"once\") float f(float x) { return x; }", "my.c:1:1: '_Pragma' is not supported", 0},
    {"#line 7 \"other.c\"\nfloat f(float x) { return x; }", "my.c:1:2: #line is not supported", 0},
    {"#error no\nfloat f(float x) { return x; }", "my.c:1:8: the text stops itself", ACTUNE_SYNTAX},
    {"#if X > 1\n#endif\nfloat f(float x) { return x; }", "my.c:1:5: only 0, 1 and defined(NAME)", 0},
    {"#ifdef X\nfloat f(float x) { return x; }", "my.c:1:1: this #if has no #endif", ACTUNE_SYNTAX},
    {"#include <stdio.h>\nfloat f(float x) { return x; }", "my.c:1:10: only <math.h>", 0},
    {"  #  /* */ include \\\n \"../x.h\"\nfloat f(float x) { return x; }", "my.c:2:2: only <math.h>", 0},
    {"#include_next <math.h>\nfloat f(float x) { return x; }", "my.c:1:2: #include_next is not supported", 0},
    {"#import \"x.h\"\nfloat f(float x) { return x; }", "my.c:1:2: #import is not supported", 0},
    {"#embed \"x.h\"\nfloat f(float x) { return x; }", "my.c:1:2: #embed is not supported", 0},
    {"%:include \"x.h\"\nfloat f(float x) { return x; }", "my.c:1:1: '%:' is not supported", 0},
    {"#if __has_include(\"x.h\")\n#endif\nfloat f(float x) { return x; }", "my.c:1:5: only 0, 1 and defined", 0},
    {"float f(float x) { return __has_include(\"x.h\"); }", "my.c:1:27: '__has_include' is not supported", 0},
    /* Errors of C: clang's words. */
    {"float f(float x) { return x + ; }", "my.c:1:31: expected expression", ACTUNE_SYNTAX},
    {"float f(float x) { return y; }", "my.c:1:27: use of undeclared identifier 'y'", ACTUNE_SYNTAX},
    {"float f(float x)\n{\n    return x\n}", "my.c:3:12: expected ';'", ACTUNE_SYNTAX},
    {"float f(float x)\n{\n    return x;\n", "my.c:2:1: this '{' is never closed", ACTUNE_SYNTAX},
    {"float f(float x) { return x); }", "my.c:1:28: this ')' closes no '('", ACTUNE_SYNTAX},
    {"float f(float x) { return x; }}", "my.c:1:31: this '}' closes no '{'", ACTUNE_SYNTAX},
    {"float f(float *x, f(x)...) { return x; }", "my.c:1:23: '...' may only follow a ','", ACTUNE_SYNTAX},
    {"float f(float x) <% return x; %>", "my.c:1:18: '<%' is not supported", 0},
    {"float f(float x) { return x % 2; }", "my.c:1:29: invalid operands", ACTUNE_SYNTAX},
    {"float f(float x) { return x @ 1; }", "my.c:1:29: unexpected character '@'", ACTUNE_SYNTAX},
    {"float f(float x) { return x \xc3\xa4; }", "my.c:1:29: unexpected byte 0xc3", ACTUNE_SYNTAX},
    {"float f(float x) { /* never closed", "my.c:1:20: this comment is never closed", ACTUNE_SYNTAX},
    {"float f(float x) { return \"x; }\n", "my.c:1:27: this \" is never closed", ACTUNE_SYNTAX},
    {"", "my.c: there is no function 'f'; it has none", ACTUNE_NOT_FOUND},
    {"float relu(float x) { return x; }", "my.c: there is no function 'f'; it has 'relu'", ACTUNE_NOT_FOUND},
    /* Comments that speak to us. */
    {"/* actune: beta = 1 */\nfloat f(float x, float alpha) { return x * alpha; }",
     "my.c:1:12: 'beta' is no parameter of f", ACTUNE_SYNTAX},
    {"/* actune: alpha = 1x */\nfloat f(float x, float alpha) { return x * alpha; }", "my.c:1:20: '1x' is no number",
     ACTUNE_SYNTAX},
    {"/* actune: alpha 1 */\nfloat f(float x, float alpha) { return x * alpha; }", "my.c:1:18: expected '= value'",
     ACTUNE_SYNTAX},
    {"/* actune: alpha = 1, alpha = 2 */\nfloat f(float x, float alpha) { return x * alpha; }",
     "my.c:1:23: 'alpha' has two defaults", ACTUNE_SYNTAX},
};

Test(parse_clang, refusals_name_the_place)
{
    for (size_t i = 0; i < COUNT(refusals); i++) {
        const struct refusal *r = &refusals[i];
        at_arena arena = {0};
        at_activation activation;
        actune_status status = at_parse_c("my.c", r->source, "f", &arena, &activation);
        cr_expect_eq(status, r->status ? r->status : ACTUNE_UNSUPPORTED, "status %d for:\n%s", (int)status, r->source);
        cr_expect(status && !strncmp(actune_last_error(), r->message, strlen(r->message)),
                  "%s\ninstead of %s\nfor:\n%s", actune_last_error(), r->message, r->source);
        at_graph_clear(&activation.graph);
        at_arena_clear(&arena);
    }
}

Test(parse_clang, near_names_of_functions)
{
    at_arena arena = {0};
    at_activation activation;
    cr_assert_eq(at_parse_c("my.c", "float swish(float x) { return x; }\nfloat gelu(float x) { return x; }", "swihs",
                            &arena, &activation),
                 ACTUNE_NOT_FOUND);
    cr_assert_str_eq(actune_last_error(), "my.c: there is no function 'swihs'; did you mean 'swish'?");
    at_arena_clear(&arena);
}

/* Each row: spellings of one function; all must agree with the first at every sample. */
static const char *const spellings[][8] = {
    {"float f(float x, float alpha) { return x > 0 ? x : alpha * x; }",
     "float f(float x, float alpha) { if (x > 0) return x; else return alpha * x; }",
     "float f(float x, float alpha) { if (x > 0) return x; return alpha * x; }",
     "float f(float x, float alpha) { float y = alpha * x; if (x > 0) { y = x; } return y; }",
     "float f(float x, float alpha) { float y; if (!(x > 0)) y = alpha * x; else return x; return y; }",
     "static float scaled(float v, float by);\n"
     "float f(float x, float alpha) { return scaled(x, x > 0 ? 1 : alpha); }\n"
     "static float scaled(float v, float by) { return by * v; }",
     "#define LEAKY(x, a) ((x) > 0 ? (x) : (a) * (x))\nfloat f(float x, float alpha) { return LEAKY(x, alpha); }",
     "typedef double real;\nreal f(const real x, real alpha) { const bool up = x > 0.0; return up ? x : alpha * x; }"},
    {"float f(float x) { return x < -1 ? -1 : x > 1 ? 1 : x; }",
     "float f(float x) { if (x < -1) return -1; if (x > 1) return 1.f; return x; }",
     "float f(float x) { if (x < -1) { x = -1; } else if (x > 1) { x = 1; } return x; }",
     "float f(float x) { if (x >= -1 && x <= 1 || isnan(x)) return x; return x < 0 ? -1 : 1; }",
     "float f(float x) { float y = x; if (x < -1 || x > 1) { if (x < 0) y = -1; else y = 1; } return y; }",
     "float f(float x) { int out = (x > 1) - (x < -1); if (out) return out; return x; }",
     "float f(float x) { return actune_min(actune_max(x, -1), 1); }"},
    /* Returns deep inside, and what was assigned on the way. */
    {"float f(float x) { return x > 2 ? 7 : (x > 1 ? 1 : x < -1 ? 2 : 0) + x; }",
     "float f(float x)\n{\n    float y = 0;\n    if (x > 1) {\n        if (x > 2)\n            return 7;\n        y = "
     "1;\n"
     "    } else if (x < -1) {\n        y = 2;\n    }\n    return y + x;\n}",
     "float f(float x) { float y; if (x > 1) { if (x > 2) { return 7; } else { y = 1; } } else { y = 0; "
     "if (x < -1) y += 2; } y += x; return y; }"},
    {"float f(float x) { return 0.5f * x + 3; }",
     "float f(float x) { float y, z; y = z = 0.5; z *= x; return z + 3; y = 9; }",
     "float f(float x) { float y = x; y /= 2, y += 2; y++; (void)x; ; return y; }",
     "static const float HALF = +.5e0f; const int N = 1 + 2;\nfloat f(float x) { { float x_ = HALF * x; return x_ + N; "
     "} }",
     "#define HALF 0.5\n#undef N\n#ifndef N\n#define N 03\n#else\n#error\n#endif\n#if defined(HALF) && !defined M\n"
     "float f(float x) { return HALF * x + N; }\n#else\n#include <nothing.h>\n#endif",
     "float f(float x) { float t = x; { float x = 0.5f; t *= x; } if (1) t += 3; else t += 9; return t; }"},
    {"float f(float x) { return x == x ? (x > 1 ? x : 1) : 1; }", "float f(float x) { return fmaxf(x, 1); }",
     "float f(float x) { return fmax(1.0, x); }",
     "float f(float x) { float one = x == x ? 1 : 1; return fmaxf(one, x) + 0 * one; }"},
    {"float f(float x) { return x == x ? (x < 1 ? x : 1) : 1; }", "float f(float x) { return fminf(1, x); }",
     "float f(float x) { return __builtin_fminf(x, 1.0f); }"},
    {"float f(float x) { return x == INFINITY || x == -INFINITY; }", "float f(float x) { return isinf(x); }",
     "float f(float x) { return !isfinite(x) && !isnan(x); }",
     "float f(float x) { bool b = fabsf(x) == INFINITY; return b ? true : false; }"},
    {"float f(float x) { return signbit(x) ? -1 : 1; }", "float f(float x) { return copysignf(1, x); }"},
};

Test(parse_clang, spellings_agree)
{
    for (size_t row = 0; row < COUNT(spellings); row++) {
        at_arena arena = {0};
        at_activation first = parse(spellings[row][0], &arena);
        for (size_t k = 1; k < COUNT(spellings[row]) && spellings[row][k]; k++) {
            at_activation other = parse(spellings[row][k], &arena);
            for (size_t i = 0; i < COUNT(samples); i++) {
                long double a = evaluate(&first.graph, samples[i], 0.3), b = evaluate(&other.graph, samples[i], 0.3);
                cr_expect(same(a, b), "f(%g) = %Lg, %Lg for:\n%s", samples[i], a, b, spellings[row][k]);
            }
            at_graph_clear(&other.graph);
        }
        at_graph_clear(&first.graph);
        at_arena_clear(&arena);
    }
}

/* fmaxf's and MAX's NaN differ: C's loses, ours stays. */
Test(parse_clang, nan_of_max)
{
    at_arena arena = {0};
    at_activation c = parse("float f(float x, float alpha) { return fmaxf(x, alpha) + fminf(alpha, x); }", &arena);
    at_activation ours = parse("float f(float x, float alpha) { return actune_max(x, alpha); }", &arena);
    cr_expect_eq(evaluate(&c.graph, NAN, 2), 4);
    cr_expect_eq(evaluate(&c.graph, 2, NAN), 4);
    cr_expect(isnan(evaluate(&ours.graph, NAN, 2)));
    cr_expect(isnan(evaluate(&ours.graph, 2, NAN)));
    at_graph_clear(&c.graph);
    at_graph_clear(&ours.graph);
    at_arena_clear(&arena);
}

static const struct {
    const char *call;
    at_op op;
} functions[] = {
    {"exp", AT_OP_EXP},     {"exp2", AT_OP_EXP2},   {"expm1", AT_OP_EXPM1}, {"log", AT_OP_LOG},
    {"log2", AT_OP_LOG2},   {"log1p", AT_OP_LOG1P}, {"sin", AT_OP_SIN},     {"cos", AT_OP_COS},
    {"tan", AT_OP_TAN},     {"atan", AT_OP_ATAN},   {"sinh", AT_OP_SINH},   {"cosh", AT_OP_COSH},
    {"tanh", AT_OP_TANH},   {"asinh", AT_OP_ASINH}, {"erf", AT_OP_ERF},     {"erfc", AT_OP_ERFC},
    {"sqrt", AT_OP_SQRT},   {"fabs", AT_OP_ABS},    {"floor", AT_OP_FLOOR}, {"ceil", AT_OP_CEIL},
    {"trunc", AT_OP_TRUNC}, {"pow", AT_OP_POW},     {"fma", AT_OP_FMA},     {"copysign", AT_OP_COPYSIGN},
};

/* Every function of the table, by its double and by its float name, is the one node it should be. */
Test(parse_clang, math_functions)
{
    static const char *const arguments[] = {"", "x", "x, alpha", "x, alpha, x"};
    for (size_t i = 0; i < COUNT(functions); i++)
        for (int single = 0; single < 2; single++) {
            char source[128];
            at_arena arena = {0};
            snprintf(source, sizeof source, "#include <math.h>\nfloat f(float x, float alpha) { return %s%s(%s); }",
                     functions[i].call, single ? "f" : "", arguments[at_op_get(functions[i].op)->arguments]);
            at_activation a = parse(source, &arena);
            cr_expect_eq(a.graph.nodes[a.graph.output[0]].op, functions[i].op, "%s", source);
            at_graph_clear(&a.graph);
            at_arena_clear(&arena);
        }
}

static void expect_text(const char *source, const char *expected)
{
    at_arena arena = {0};
    at_strbuf text = {0};
    at_activation a = parse(source, &arena);
    at_graph_print(&a.graph, &text);
    cr_expect_str_eq(at_strbuf_text(&text), expected);
    at_strbuf_clear(&text);
    at_graph_clear(&a.graph);
    at_arena_clear(&arena);
}

/* Literals keep their decimal value, dead nodes are gone, equal nodes are one. */
Test(parse_clang, graph_text)
{
    expect_text("float f(float x) { float unused = expf(x); return 0.1f * x + 0.1 * x; }",
                "%0 = input 0\n%1 = const 0.1\n%2 = mul %1 %0\n%3 = add %2 %2\nreturn %3\n");
    expect_text("double f(double x, double alpha) { return -1.0507009873554804934193349852946 * alpha; }",
                "%0 = input 1\n%1 = const -1.0507009873554805\n%2 = mul %1 %0\nreturn %2\n");
    expect_text("float f(float x) { return actune_softplus(x) - actune_sigmoid(1e-45f); }",
                "%0 = input 0\n%1 = softplus %0\n%2 = const 1e-45\n%3 = sigmoid %2\n%4 = sub %1 %3\nreturn %4\n");
}

Test(parse_clang, parameters_and_remarks)
{
    at_arena arena = {0};
    at_activation a = parse("/* actune: beta = 3 */\nstatic float other(float x, float beta) { return x * beta; }\n"
                            "/* Some prose.\n * formula:  x * a + b  \n * actune: alpha = -1e-3, c = 20\n */\n"
                            "// actune: alias foo bar\n"
                            "float f(float x, float alpha, float b, float c) { return other(x, alpha) + b - c; }\n"
                            "/* actune: b = 9 */",
                            &arena);
    cr_expect_str_eq(a.name, "f");
    cr_expect_str_eq(a.formula, "x * a + b");
    cr_expect_str_eq(a.aliases, "foo bar");
    cr_assert_eq(a.parameters, 3);
    cr_expect(!strcmp(a.parameter[0].name, "alpha") && a.parameter[0].has_default);
    cr_expect_eq(a.parameter[0].default_value, -1e-3);
    cr_expect(!strcmp(a.parameter[1].name, "b") && !a.parameter[1].has_default);
    cr_expect(!strcmp(a.parameter[2].name, "c") && a.parameter[2].default_value == 20);
    at_graph_clear(&a.graph);
    at_arena_clear(&arena);
}

static actune_status collect(void *user, const at_activation *activation)
{
    at_strbuf_printf(user, "%s;", activation->name);
    return ACTUNE_OK;
}

Test(parse_clang, every_public_function_of_a_file)
{
    at_arena arena = {0};
    at_strbuf names = {0};
    const char *source = "static float h(float x) { return x; }\nfloat a(float x) { return h(x); }\n"
                         "/* actune: name c */\nfloat b(float x) { return x; }";
    cr_assert_eq(at_parse_c_file("my.c", source, &arena, collect, &names), ACTUNE_OK, "%s", actune_last_error());
    cr_expect_str_eq(at_strbuf_text(&names), "a;c;");
    at_strbuf_clear(&names);
    at_arena_clear(&arena);
}

static char *repeated(const char *before, const char *unit, int count, const char *after)
{
    at_strbuf text = {0};
    at_strbuf_append(&text, before);
    for (int i = 0; i < count; i++)
        at_strbuf_append(&text, unit);
    at_strbuf_append(&text, after);
    return at_strbuf_take(&text);
}

/* Texts that would blow up a parser, a macro expander or a stack. */
Test(parse_clang, bounds)
{
    static const struct {
        const char *before, *unit, *after, *message;
        int count;
    } texts[] = {
        {"float f(float x) { return ", "(", "x", "brackets are open", 20000},
        {"float f(float x) { return ", "- ", "x; }", "split it", 20000},
        {"float f(float x) { return x", "+x", "; }", "split it", 20000},
        {"float f(float x) { return x", "?x:x", "; }", "split it", 9000},
        {"float f(float x) { ", "if (x) x = 1; else ", "return x; }", "'else' in one function", 3000},
        {"float f(float x) { ", "if (x) ", "return x; }", "split it", 5000},
        {"float f(float x) { ", "{", "", "brackets are open", 30000},
        {"float f(float x) { ", "for(;;)", "; return x; }", "split it", 5000},
        {"float ", "*", "f(float x) { return x; }", "split it", 30000},
        {"float f(float x) { return x; } /*", "x", "*/", "longer than 64 KiB", 70000},
        {"#define A(x) ((x) + (x))\nfloat f(float x) { return A(A(A(A(A(A(A(A(A(A(A(A(A(A(A(A(A(A(A(A(x", ")", "; }",
         "expand to too much", 20},
        {"#define A B B B B B B B B\n#define B C C C C C C C C\n#define C D D D D D D D D\n#define D E E E E E E E E\n"
         "#define E G G G G G G G G\n#define G H H H H H H H H\n#define H x +\nfloat f(float x) { return A ",
         "1", "; }", "expand to too much", 1},
        {"float f(float x) { ", "if (x > 1) return 2; ", "return x; }", "at most 64 return", 100},
        {"float f(float x) { ", "{ float y = x; } ", "return x; }", "at most 64 variables", 100},
        {"", "#if 0\n", "", "nested too deeply", 100},
    };
    for (size_t i = 0; i < COUNT(texts); i++) {
        at_arena arena = {0};
        at_activation a;
        char *text = repeated(texts[i].before, texts[i].unit, texts[i].count, texts[i].after);
        cr_expect_eq(at_parse_c("my.c", text, "f", &arena, &a), ACTUNE_UNSUPPORTED, "%s", texts[i].before);
        cr_expect(strstr(actune_last_error(), texts[i].message), "%s\ninstead of %s", actune_last_error(),
                  texts[i].message);
        free(text);
        at_arena_clear(&arena);
    }
}

/* Uses of a macro inside its own argument, properly closed. */
Test(parse_clang, deep_macro_arguments)
{
    at_arena arena = {0};
    at_activation a;
    char *opened = repeated("#define A(x) x\nfloat f(float x) { return ", "A(", 80, "x");
    char *text = repeated(opened, ")", 80, "; }");
    cr_assert_eq(at_parse_c("my.c", text, "f", &arena, &a), ACTUNE_UNSUPPORTED);
    cr_assert(strstr(actune_last_error(), "my.c:2:155: macros are nested too deeply"), "%s", actune_last_error());
    free(opened);
    free(text);
    at_arena_clear(&arena);
}

/* Helpers that call one another twice: 2^30 executions if nothing counted. */
Test(parse_clang, bounded_inlining)
{
    at_arena arena = {0};
    at_activation a;
    at_strbuf text = {0};
    at_strbuf_append(&text, "static float g0(float x) { return x * x; }\n");
    for (int i = 1; i <= 30; i++)
        at_strbuf_printf(&text, "static float g%d(float x) { return g%d(x) + g%d(x + 1); }\n", i, i - 1, i - 1);
    at_strbuf_append(&text, "float f(float x) { return g30(x); }\n");
    cr_assert_eq(at_parse_c("my.c", at_strbuf_text(&text), "f", &arena, &a), ACTUNE_UNSUPPORTED);
    cr_assert(strstr(actune_last_error(), "too large here"), "%s", actune_last_error());
    at_strbuf_clear(&text);
    at_arena_clear(&arena);
}

/* A chain of the largest size that is let in passes through everything. */
Test(parse_clang, long_statements_pass)
{
    at_arena arena = {0};
    char *text = repeated("float f(float x) { return x", "+x", 490, "; }");
    at_activation a = parse(text, &arena);
    cr_expect_eq(evaluate(&a.graph, 1, 0), 491);
    at_graph_clear(&a.graph);
    free(text);
    text = repeated("float f(float x) { return ", "-", 990, "x; }");
    cr_expect_neq(at_parse_c("my.c", text, "f", &arena, &a), ACTUNE_OK); /* "--" is no two minuses */
    free(text);
    text = repeated("float f(float x) { return ", "- ", 980, "x; }");
    a = parse(text, &arena);
    cr_expect_eq(evaluate(&a.graph, 3, 0), 3);
    at_graph_clear(&a.graph);
    free(text);
    at_arena_clear(&arena);
}

/* A FIFO in the place of the included file: opening it would block until the alarm kills the test. */
Test(parse_clang, nothing_else_is_read)
{
    static const char *const directives[] = {"#include \"%s\"",
                                             "#include <%s>",
                                             "#inc\\\nlude \"%s\"",
                                             "#import \"%s\"",
                                             "#define F \"%s\"\n#include F",
                                             "#if __has_include(\"%s\")\n#endif",
                                             "#pragma GCC dependency \"%s\"",
                                             "_Pragma(\"include_alias\") \"%s\""};
    char folder[] = "/tmp/actune-test-XXXXXX", path[64], line[256], source[512];
    cr_assert(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/fifo", folder);
    cr_assert_eq(mkfifo(path, 0600), 0);
    alarm(60);
    for (size_t i = 0; i < COUNT(directives); i++) {
        at_arena arena = {0};
        at_activation a;
        snprintf(line, sizeof line, directives[i], path);
        snprintf(source, sizeof source, "%s\nfloat f(float x) { return x; }", line);
        cr_expect_eq(at_parse_c("my.c", source, "f", &arena, &a), ACTUNE_UNSUPPORTED, "%s", line);
        at_arena_clear(&arena);
    }
    unlink(path);
    rmdir(folder);
}

static void *parse_many(void *user)
{
    (void)user;
    for (int i = 0; i < 20; i++) {
        at_arena arena = {0};
        at_activation a;
        if (at_parse_c("my.c", "float f(float x) { return x * x; }", "f", &arena, &a) != ACTUNE_OK)
            return "refused";
        at_graph_clear(&a.graph);
        if (at_parse_c("my.c", "float f(float x) { return x *; }", "f", &arena, &a) != ACTUNE_SYNTAX)
            return "accepted";
        at_arena_clear(&arena);
    }
    return NULL;
}

Test(parse_clang, several_threads)
{
    pthread_t thread[4];
    for (size_t i = 0; i < COUNT(thread); i++)
        cr_assert_eq(pthread_create(&thread[i], NULL, parse_many, NULL), 0);
    for (size_t i = 0; i < COUNT(thread); i++) {
        void *failure;
        pthread_join(thread[i], &failure);
        cr_expect_null(failure, "%s", (const char *)failure);
    }
}

static void on_signal(int number)
{
    (void)number;
}

/* libclang sets handlers while it parses; the host program has its own back afterwards. */
Test(parse_clang, signal_handlers_are_given_back)
{
    static const int numbers[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT, SIGTRAP};
    struct sigaction mine = {.sa_handler = on_signal}, now;
    at_arena arena = {0};
    for (size_t i = 0; i < COUNT(numbers); i++)
        sigaction(numbers[i], &mine, NULL);
    at_activation a = parse("float f(float x) { return x; }", &arena);
    for (size_t i = 0; i < COUNT(numbers); i++) {
        sigaction(numbers[i], NULL, &now);
        cr_expect_eq(now.sa_handler, on_signal, "signal %d", numbers[i]);
    }
    at_graph_clear(&a.graph);
    at_arena_clear(&arena);
}

Test(parse_clang, missing_libclang)
{
    at_arena arena = {0};
    at_activation a;
    setenv("ACTUNE_LIBCLANG", "/nonexistent/libclang.so", 1);
    cr_assert_eq(at_parse_c("my.c", "float f(float x) { return x; }", "f", &arena, &a), ACTUNE_NO_COMPILER);
    cr_expect(strstr(actune_last_error(), "/nonexistent/libclang.so"), "%s", actune_last_error());
    cr_expect(strstr(actune_last_error(), "install libclang1-14"), "%s", actune_last_error());
    cr_expect_str_eq(at_parse_c_version(), "");
}

/* A library that is no libclang. */
Test(parse_clang, wrong_libclang)
{
    at_arena arena = {0};
    at_activation a;
    setenv("ACTUNE_LIBCLANG", "libm.so.6", 1);
    cr_assert_eq(at_parse_c("my.c", "float f(float x) { return x; }", "f", &arena, &a), ACTUNE_NO_COMPILER);
    cr_expect(strstr(actune_last_error(), "libm.so.6 has no clang_createIndex"), "%s", actune_last_error());
}

Test(parse_clang, version)
{
    cr_expect_geq(atoi(at_parse_c_version()), 14, "%s", at_parse_c_version());
}
