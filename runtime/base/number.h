/* Decimal numbers as text, whatever locale the host program has set. */
#ifndef AT_BASE_NUMBER_H
#define AT_BASE_NUMBER_H

#include <stddef.h>

typedef enum at_number_result { AT_NUMBER_OK, AT_NUMBER_BAD, AT_NUMBER_TOO_LARGE } at_number_result;

enum { AT_NUMBER_LENGTH_MAX = 256, AT_NUMBER_BYTES = 40 };

/* All of text[0 .. length) is one number: [+-] digits [. digits] [e [+-] digits], [+-] inf, infinity or nan (any case).
   BAD for anything else or more than AT_NUMBER_LENGTH_MAX characters, TOO_LARGE when digits overflow a double (what is
   too small becomes 0). Correctly rounded. Thread-safe. */
at_number_result at_number_parse(const char *text, size_t length, double *value);

/* The shortest decimal text that reads back as the same double: "0.1", "-0", "1e+30", "inf", "-inf", "nan". */
void at_number_print(double value, char text[AT_NUMBER_BYTES]);

#endif
