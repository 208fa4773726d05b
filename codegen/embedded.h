/* Templates as text inside the library (written at build time by tools/embed.c), so that an installed program needs no files. */
#ifndef AT_CODEGEN_EMBEDDED_H
#define AT_CODEGEN_EMBEDDED_H

typedef struct at_embedded {
    const char *name; /* below templates/: "cpu/elementwise.c.in" */
    const char *text;
} at_embedded;

extern const at_embedded at_embedded_templates[]; /* sorted by name */
extern const int at_embedded_template_count;

#endif
