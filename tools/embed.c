/* embed OUTPUT ROOT FILE...: writes the files (paths relative to ROOT) as the table of codegen/embedded.h. */
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

int main(int argc, char **argv)
{
    if (argc < 3) {
        fprintf(stderr, "usage: embed OUTPUT ROOT FILE...\n");
        return 2;
    }
    FILE *out = fopen(argv[1], "w");
    if (!out) {
        perror(argv[1]);
        return 1;
    }
    qsort(argv + 3, (size_t)(argc - 3), sizeof *argv, by_name);
    fputs("/* Written by tools/embed.c from templates/. */\n#include \"codegen/embedded.h\"\n"
          "const at_embedded at_embedded_templates[] = {\n", out);
    for (int i = 3; i < argc; i++)
        if (embed_file(out, argv[2], argv[i])) {
            fclose(out);
            remove(argv[1]);
            return 1;
        }
    fprintf(out, "    {0, 0}};\nconst int at_embedded_template_count = %d;\n", argc - 3);
    return fclose(out) ? 1 : 0;
}
