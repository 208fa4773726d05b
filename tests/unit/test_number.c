#include "runtime/base/number.h"
#include "runtime/base/strbuf.h"
#include <criterion/criterion.h>
#include <locale.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static at_number_result parse(const char *text, double *value)
{
    return at_number_parse(text, strlen(text), value);
}

static void check_numbers(void)
{
    static const struct {
        const char *text;
        double value;
    } good[] = {{"0", 0},
                {"6", 6},
                {"-6", -6},
                {"+6", 6},
                {"0.1", 0.1},
                {".5", 0.5},
                {"5.", 5},
                {"1e3", 1e3},
                {"1.25E+2", 125},
                {"-2.5e-3", -2.5e-3},
                {"1e308", 1e308},
                {"5e-324", 5e-324},
                {"1e-400", 0},
                {"007", 7},
                {"inf", INFINITY},
                {"-INF", -INFINITY},
                {"+Infinity", INFINITY},
                {"0.1000000000000000055511151231257827", 0.1},
                {"1e-99999999999999999999", 0},
                {"17976931348623157081452742373170435679807056752584499659891747680315726078002853876058955863276687817"
                 "15404589535143824642343213268894641827684675467035375169860499105765512820762454900903893289440758685"
                 "08455133942304583236903222948165808559332123347747260",
                 1.7976931348623157e+254}};
    static const char *const bad[] = {"",   "-",   ".",  "e5", "1e",   "1e+",  "1.5.2", "0x10",  "1,5",  "1 ",
                                      " 1", "--1", "1f", "in", "info", "nan1", "-.e1",  "1_000", "1e5.", "+-3"};
    double value;
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        cr_assert_eq(parse(good[i].text, &value), AT_NUMBER_OK, "%s", good[i].text);
        cr_assert_eq(value, good[i].value, "%s gave %.17g", good[i].text, value);
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        cr_assert_eq(parse(bad[i], &value), AT_NUMBER_BAD, "%s", bad[i]);
    cr_assert_eq(parse("1e309", &value), AT_NUMBER_TOO_LARGE);
    cr_assert_eq(parse("-1e99999999999", &value), AT_NUMBER_TOO_LARGE);
    cr_assert_eq(parse("nan", &value), AT_NUMBER_OK);
    cr_assert(isnan(value));
    cr_assert_eq(parse("-0", &value), AT_NUMBER_OK);
    cr_assert(value == 0 && signbit(value));
}

static void check_printing(void)
{
    static const struct {
        double value;
        const char *text;
    } cases[] = {{0, "0"},
                 {-0.0, "-0"},
                 {1, "1"},
                 {-6, "-6"},
                 {0.1, "0.1"},
                 {0.044715, "0.044715"},
                 {1e30, "1e+30"},
                 {100, "100"},
                 {123456, "123456"},
                 {1e16, "1e+16"},
                 {1.5e-7, "1.5e-07"},
                 {0.0001, "0.0001"},
                 {5e-324, "5e-324"},
                 {1.0 / 3, "0.3333333333333333"},
                 {INFINITY, "inf"},
                 {-INFINITY, "-inf"},
                 {NAN, "nan"},
                 {1.7976931348623157e308, "1.7976931348623157e+308"}};
    char text[AT_NUMBER_BYTES];
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        double back;
        at_number_print(cases[i].value, text);
        cr_assert_eq(parse(text, &back), AT_NUMBER_OK);
        cr_assert(!memcmp(&back, &cases[i].value, sizeof back) || isnan(back), "%s", text);
        cr_assert_str_eq(text, cases[i].text);
    }
    uint64_t state = 1;
    for (int i = 0; i < 20000; i++) {
        double value, back;
        state = state * 6364136223846793005u + 1442695040888963407u;
        memcpy(&value, &state, sizeof value);
        at_number_print(value, text);
        cr_assert_eq(parse(text, &back), AT_NUMBER_OK, "%s", text);
        cr_assert(back == value || (isnan(back) && isnan(value)), "%s", text);
    }
}

Test(number, parse_and_print)
{
    check_numbers();
    check_printing();
}

/* A locale with a decimal comma, made on the spot; false where localedef is missing. */
static bool comma_locale(void)
{
    char folder[] = "/tmp/actune-locale-XXXXXX", source[64], target[64], command[300];
    cr_assert(mkdtemp(folder));
    snprintf(source, sizeof source, "%s/source", folder);
    snprintf(target, sizeof target, "%s/xx_XX", folder);
    FILE *file = fopen(source, "w");
    cr_assert(file);
    fputs("LC_NUMERIC\ndecimal_point \",\"\nthousands_sep \"\"\ngrouping -1\nEND LC_NUMERIC\n", file);
    fclose(file);
    snprintf(command, sizeof command, "localedef --no-archive -c -i %s -f ANSI_X3.4-1968 %s >/dev/null 2>&1", source,
             target);
    (void)!system(command);
    setenv("LOCPATH", folder, 1);
    bool found = setlocale(LC_NUMERIC, "xx_XX") != NULL;
    snprintf(command, sizeof command, "rm -r %s", folder);
    (void)!system(command);
    return found;
}

Test(number, locale)
{
    at_strbuf buffer = {0};
    if (!comma_locale()) {
        cr_log_warn("no localedef: numbers under another locale were not tested");
        return;
    }
    cr_assert_str_eq(localeconv()->decimal_point, ",");
    check_numbers();
    check_printing();
    at_strbuf_double(&buffer, 0.5);
    cr_assert_str_eq(at_strbuf_text(&buffer), "0.5");
    at_strbuf_clear(&buffer);
}
