/* Pieces of a JSON line. */
#ifndef AT_MONITOR_JSON_H
#define AT_MONITOR_JSON_H

#include <stdio.h>

/* Quoted and escaped; NULL is null. */
void at_json_string(FILE *to, const char *text);
/* The same double when read; null for what JSON has no number for. */
void at_json_number(FILE *to, double value);

#endif
