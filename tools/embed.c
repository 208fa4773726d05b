/* embed OUTPUT ROOT HEADER TYPE NAME COUNT FILE...: writes the files (paths relative to ROOT, sorted) as `const TYPE NAME[]`
   of {name, text} and `const int COUNT`, both declared in HEADER. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int by_name(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* One string literal a line: readable, and far from the length where compilers warn about one literal. */
static int embed_file(FILE *out, const char *root, const char *name)
{
    char path[4096];
    if (snprintf(path, sizeof path, "%s/%s", root, name) >= (int)sizeof path)
        return -1;
    FILE *in = fopen(path, "r");
    if (!in) {
        perror(path);
        return -1;
    }
    fprintf(out, "    {\"%s\",\n     \"", name);
    for (int c; (c = fgetc(in)) != EOF;) {
        if (c == '\n')
            fputs("\\n\"\n     \"", out);
        else if (c == '"' || c == '\\')
            fprintf(out, "\\%c", c);
        else if (c < 32 || c > 126)
            fprintf(out, "\\%03o", c);
        else
            fputc(c, out);
    }
    fputs("\"},\n", out);
    return fclose(in);
}

enum { OUTPUT = 1, ROOT, HEADER, TYPE, NAME, COUNT, FILES };

int main(int argc, char **argv)
{
    if (argc < FILES) {
        fprintf(stderr, "usage: embed OUTPUT ROOT HEADER TYPE NAME COUNT FILE...\n");
        return 2;
    }
    FILE *out = fopen(argv[OUTPUT], "w");
    if (!out) {
        perror(argv[OUTPUT]);
        return 1;
    }
    qsort(argv + FILES, (size_t)(argc - FILES), sizeof *argv, by_name);
    fprintf(out, "/* Written by tools/embed.c. */\n#include \"%s\"\nconst %s %s[] = {\n", argv[HEADER], argv[TYPE], argv[NAME]);
    for (int i = FILES; i < argc; i++)
        if (embed_file(out, argv[ROOT], argv[i])) {
            fclose(out);
            remove(argv[OUTPUT]);
            return 1;
        }
    fprintf(out, "    {0, 0}};\nconst int %s = %d;\n", argv[COUNT], argc - FILES);
    return fclose(out) ? 1 : 0;
}
