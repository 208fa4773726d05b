#include "json.h"

#include <math.h>

void at_json_string(FILE *to, const char *text)
{
    if (!text) {
        fputs("null", to);
        return;
    }
    fputc('"', to);
    for (; *text; text++) {
        unsigned char c = (unsigned char)*text;
        if (c == '"' || c == '\\')
            fprintf(to, "\\%c", c);
        else if (c < 0x20)
            fprintf(to, "\\u%04x", c);
        else
            fputc(c, to);
    }
    fputc('"', to);
}

void at_json_number(FILE *to, double value)
{
    char text[40];
    if (!isfinite(value)) {
        fputs("null", to);
        return;
    }
    snprintf(text, sizeof text, "%.17g", value);
    for (char *at = text; *at; at++) /* the host's locale may have another decimal point */
        if (*at == ',')
            *at = '.';
    fputs(text, to);
}
