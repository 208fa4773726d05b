#include "number.h"

#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* strtod and printf follow the locale only in the decimal point. So numbers go through them as whole digits and an
   exponent, "1.25e3" as "125e1": no point, no locale. */

enum { EXPONENT_MAX = 99999, DIGITS_MAX = 17, PLAIN_EXPONENT_MAX = 14 };

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* ASCII only: a Turkish locale has another small I. */
static bool same_word(const char *text, size_t length, const char *word)
{
    for (size_t i = 0; i < length; i++)
        if ((text[i] | 32) != word[i])
            return false;
    return !word[length];
}

/* inf, infinity, nan. */
static at_number_result parse_word(const char *text, size_t length, bool negative, double *value)
{
    static const struct {
        const char *name;
        double value;
    } words[] = {{"inf", INFINITY}, {"infinity", INFINITY}, {"nan", NAN}};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (same_word(text, length, words[i].name)) {
            *value = negative ? -words[i].value : words[i].value;
            return AT_NUMBER_OK;
        }
    return AT_NUMBER_BAD;
}

/* "e-12" at text; nothing is exponent 0. */
static bool parse_exponent(const char *text, const char *end, int *exponent)
{
    *exponent = 0;
    if (text == end)
        return true;
    if (*text != 'e' && *text != 'E')
        return false;
    text++;
    bool negative = text < end && *text == '-';
    if (text < end && (*text == '-' || *text == '+'))
        text++;
    if (text == end)
        return false;
    for (; text < end && is_digit(*text); text++)
        if (*exponent < EXPONENT_MAX)
            *exponent = *exponent * 10 + (*text - '0');
    if (negative)
        *exponent = -*exponent;
    return text == end;
}

at_number_result at_number_parse(const char *text, size_t length, double *value)
{
    char plain[AT_NUMBER_LENGTH_MAX + 32];
    const char *end = text + length;
    size_t digits = 0;
    int fraction = 0, exponent;
    if (!length || length > AT_NUMBER_LENGTH_MAX)
        return AT_NUMBER_BAD;
    bool negative = *text == '-';
    if (*text == '-' || *text == '+')
        text++;
    if (text < end && !is_digit(*text) && *text != '.')
        return parse_word(text, (size_t)(end - text), negative, value);
    for (; text < end && is_digit(*text); text++)
        plain[digits++] = *text;
    if (text < end && *text == '.')
        for (text++; text < end && is_digit(*text); text++, fraction++)
            plain[digits++] = *text;
    if (!digits || !parse_exponent(text, end, &exponent))
        return AT_NUMBER_BAD;
    snprintf(plain + digits, sizeof plain - digits, "e%d", exponent - fraction);
    double result = strtod(plain, NULL);
    if (isinf(result))
        return AT_NUMBER_TOO_LARGE;
    *value = negative ? -result : result;
    return AT_NUMBER_OK;
}

/* The significant digits of |value| in `digits` (NUL-terminated, count wanted), its decimal exponent returned. */
static int significant(double value, int count, char digits[DIGITS_MAX + 1])
{
    char text[AT_NUMBER_BYTES];
    int written = 0;
    snprintf(text, sizeof text, "%.*e", count - 1, fabs(value));
    const char *c = text;
    for (; *c != 'e'; c++) /* skips the locale's point, whatever bytes it has */
        if (is_digit(*c) && written < DIGITS_MAX)
            digits[written++] = *c;
    while (written > 1 && digits[written - 1] == '0')
        written--;
    digits[written] = 0;
    return (int)strtol(c + 1, NULL, 10);
}

/* Digits and exponent as a person writes them: plain between 0.0001 and 1e14, else with an exponent. */
static void layout(const char *sign, const char *digits, int exponent, char text[AT_NUMBER_BYTES])
{
    int count = (int)strlen(digits);
    if (exponent < -4 || exponent > PLAIN_EXPONENT_MAX)
        snprintf(text, AT_NUMBER_BYTES, "%s%c%s%.16se%+03d", sign, digits[0], count > 1 ? "." : "", digits + 1,
                 exponent);
    else if (exponent < 0)
        snprintf(text, AT_NUMBER_BYTES, "%s0.%.*s%.17s", sign, -exponent - 1, "000", digits);
    else if (count <= exponent + 1)
        snprintf(text, AT_NUMBER_BYTES, "%s%.17s%.*s", sign, digits, exponent + 1 - count, "00000000000000");
    else
        snprintf(text, AT_NUMBER_BYTES, "%s%.*s.%.16s", sign, exponent + 1, digits, digits + exponent + 1);
}

void at_number_print(double value, char text[AT_NUMBER_BYTES])
{
    char digits[DIGITS_MAX + 1];
    int exponent = 0;
    if (isnan(value) || isinf(value)) {
        snprintf(text, AT_NUMBER_BYTES, "%s", isnan(value) ? "nan" : value < 0 ? "-inf" : "inf");
        return;
    }
    for (int count = 1; count <= DIGITS_MAX; count++) {
        double back;
        exponent = significant(value, count, digits);
        layout(signbit(value) ? "-" : "", digits, exponent, text);
        if (at_number_parse(text, strlen(text), &back) == AT_NUMBER_OK && back == value)
            return;
    }
}
