#include "codegen/template.h"

#include <criterion/criterion.h>
#include <string.h>

static at_scope test_scope(void)
{
    at_scope scope = {0};
    at_scope_number(&scope, "lanes", -1, 16);
    at_scope_number(&scope, "zero", -1, 0);
    at_scope_text(&scope, "store", -1, "stream");
    at_scope_text(&scope, "name", 0, "x");
    at_scope_text(&scope, "name", 1, "bias");
    at_scope_number(&scope, "bytes", 0, 4);
    at_scope_number(&scope, "bytes", 1, 2);
    at_scope_knob(&scope, "width", "64");
    at_scope_knob(&scope, "math", "fit16");
    return scope;
}

Test(template, expressions)
{
    static const struct {
        const char *text;
        int64_t value;
    } good[] = {{"1 + 2 * 3", 7},
                {"(1 + 2) * 3", 9},
                {"7 / 2", 3},
                {"7 % 4", 3},
                {"-3 + 1", -2},
                {"10 - 4 - 3", 3},
                {"lanes * 4 == 64", 1},
                {"lanes < 16", 0},
                {"lanes <= 16 && zero == 0", 1},
                {"!zero", 1},
                {"!lanes || 0", 0},
                {"store == \"stream\"", 1},
                {"store != \"stream\"", 0},
                {"name[1] == \"bias\"", 1},
                {"bytes[1 - 1] + 1", 5},
                {"width / 4", 16},
                {"math == \"fit16\"", 1},
                {"zero && 1 / zero", 0},
                {"1 || nothing", 1},
                {"0 && nothing[3]", 0},
                {"1 - -1", 2},
                {"2 >= 2", 1},
                {"1 < 2 == 1", 1},
                {" 5 ", 5},
                {"1 != 2 && 2 != 1", 1},
                {"20 / 2 / 5", 2},
                {"0 || 0 || 3", 1}};
    at_scope scope = test_scope();
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        at_value value;
        cr_assert_eq(at_expression_eval(good[i].text, strlen(good[i].text), &scope, &value), ACTUNE_OK, "%s: %s",
                     good[i].text, actune_last_error());
        cr_expect_eq(value.number, good[i].value, "%s gave %lld", good[i].text, (long long)value.number);
    }
    static const char *const bad[] = {"",
                                      "1 +",
                                      "(1",
                                      "1)",
                                      "nothing",
                                      "name[2]",
                                      "name[",
                                      "name[0",
                                      "name[0 - 1]",
                                      "\"open",
                                      "1 / 0",
                                      "1 % zero",
                                      "store + 1",
                                      "store < \"a\"",
                                      "store == 1",
                                      "1 2",
                                      "@",
                                      "99999999999999999999",
                                      "9223372036854775807 + 1",
                                      "name[store]",
                                      "((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((1"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        at_value value;
        cr_expect_neq(at_expression_eval(bad[i], strlen(bad[i]), &scope, &value), ACTUNE_OK, "%s was taken", bad[i]);
    }
    at_scope_clear(&scope);
}

static actune_status expand(const char *text, bool lines, at_strbuf *out)
{
    at_scope scope = test_scope();
    int count = scope.count;
    at_template_text source = {"test.in", text, strlen(text), 1};
    actune_status status = at_template_expand(&source, &scope, lines, out);
    cr_expect_eq(scope.count, count, "the scope has changed");
    at_scope_clear(&scope);
    return status;
}

Test(template, expansion)
{
    static const struct {
        const char *text, *result;
    } cases[] = {
        {"plain\n", "plain\n"},
        {"no newline", "no newline\n"},
        {"a ${lanes} b ${name[1]}c$d\n", "a 16 b biasc$d\n"},
        {"$knob width 1 2\n$launch threads 1\n$# words\n$require lanes == 16\nx\n", "x\n"},
        {"$for k in 0..3\n${k},\n$end\nafter\n", "0,\n1,\n2,\nafter\n"},
        {"$for k in 2..2\nnever ${nothing}\n$end\n", ""},
        {"$for k in 0..2\n$for j in k..2\n${k}${j}\n$end\n$end\n", "00\n01\n11\n"},
        {"$if store == \"stream\"\nyes\n$else\nno\n$end\n", "yes\n"},
        {"$if zero\na\n$elif lanes == 8\nb\n$elif lanes == 16\nc\n$elif 1\nd\n$else\ne\n$end\n", "c\n"},
        {"$if zero\n$if nothing\n${nothing}\n$else\n$for k in 0..nothing\n$end\n$end\n$else\nf\n$end\n", "f\n"},
        {"  $if 1\n    kept\n  $end\n", "    kept\n"},
        {"${\"}\"}\n", "}\n"},
        {"$for lanes in 0..1\n${lanes}\n$end\n${lanes}\n", "0\n16\n"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        at_strbuf out = {0};
        cr_assert_eq(expand(cases[i].text, false, &out), ACTUNE_OK, "%s: %s", cases[i].text, actune_last_error());
        cr_expect_str_eq(at_strbuf_text(&out), cases[i].result);
        at_strbuf_clear(&out);
    }
}

Test(template, line_directives)
{
    at_strbuf out = {0};
    cr_assert_eq(expand("a\nb\n$if 1\nc\n$end\nd\n$for k in 0..2\ne\n$end\n", true, &out), ACTUNE_OK);
    cr_expect_str_eq(at_strbuf_text(&out), "#line 1 \"templates/test.in\"\na\nb\n#line 4 \"templates/test.in\"\nc\n"
                                           "#line 6 \"templates/test.in\"\nd\n#line 8 \"templates/test.in\"\ne\n"
                                           "#line 8 \"templates/test.in\"\ne\n");
    at_strbuf_clear(&out);
}

Test(template, errors_name_template_and_line)
{
    static const struct {
        const char *text, *where, *what;
        actune_status status;
    } cases[] = {
        {"a\n${nothing}\n", "test.in:2:", "nothing", ACTUNE_INVALID_ARGUMENT},
        {"a\n${1\n", "test.in:2:", "}", ACTUNE_SYNTAX},
        {"$if 1\na\n", "test.in:1:", "$end", ACTUNE_SYNTAX},
        {"a\n$end\n", "test.in:2:", "belongs", ACTUNE_SYNTAX},
        {"$for k in 0..2\n$else\n$end\n", "test.in:2:", "$else", ACTUNE_SYNTAX},
        {"$if 1\n$else\n$else\n$end\n", "test.in:3:", "last", ACTUNE_SYNTAX},
        {"$for k = 1\n$end\n", "test.in:1:", "$for NAME in", ACTUNE_SYNTAX},
        {"$for k in 0..store\n$end\n", "test.in:1:", "numbers", ACTUNE_SYNTAX},
        {"$for k in 0..5000\n$end\n", "test.in:1:", "4096", ACTUNE_SYNTAX},
        {"\n\n$while 1\n", "test.in:3:", "$while", ACTUNE_SYNTAX},
        {"$require lanes == 8\n", "test.in:1:", "lanes == 8", ACTUNE_UNSUPPORTED},
        {"$include cpu/no_such\n", "test.in:1:", "cpu/no_such", ACTUNE_NOT_FOUND},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        at_strbuf out = {0};
        cr_expect_eq(expand(cases[i].text, false, &out), cases[i].status, "%s", cases[i].text);
        cr_expect(strstr(actune_last_error(), cases[i].where) && strstr(actune_last_error(), cases[i].what), "%s: %s",
                  cases[i].text, actune_last_error());
        at_strbuf_clear(&out);
    }
}

Test(template, runaway_expansions_end)
{
    at_strbuf out = {0};
    cr_expect_eq(
        expand("$for a in 0..4096\n$for b in 0..4096\nfive hundred megabytes of this\n$end\n$end\n", false, &out),
        ACTUNE_SYNTAX);
    at_strbuf_clear(&out);
}
