/* The files of db/schema as text inside the library, written at build time by tools/embed.c; number i migrates to version i + 1. */
#ifndef AT_DB_SCHEMA_H
#define AT_DB_SCHEMA_H

typedef struct at_schema_text {
    const char *name, *text;
} at_schema_text;

extern const at_schema_text at_schema_texts[];
extern const int at_schema_text_count;

#endif
