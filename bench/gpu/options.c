#include "options.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { USAGE = 2 };

/* "16K", "4M", "1G" or digits; 0 when it is none of these. */
static int64_t parse_size(const char *text)
{
    char *end;
    long long value = strtoll(text, &end, 10);
    const char *unit = *end != '\0' ? strchr("KMG", *end) : NULL;
    if (value < 1 || value > 1 << 30 || (*end != '\0' && (unit == NULL || end[1] != '\0')))
        return 0;
    int shift = unit == NULL ? 0 : *unit == 'K' ? 10 : *unit == 'M' ? 20 : 30;
    return value << shift;
}

static bool parse_sizes(char *list, gpu_options *options)
{
    for (char *part = strtok(list, ","); part != NULL; part = strtok(NULL, ",")) {
        if (options->sizes == GPU_SIZES_MAX || parse_size(part) == 0)
            return false;
        options->size[options->sizes++] = parse_size(part);
    }
    return options->sizes > 0;
}

static bool parse(int argc, char **argv, gpu_options *options)
{
    *options = (gpu_options){0};
    for (int i = 1; i < argc; i += 2) {
        if (i + 1 == argc)
            return false;
        if (strcmp(argv[i], "--sizes") == 0 && parse_sizes(argv[i + 1], options))
            continue;
        double number = atof(argv[i + 1]);
        if (strcmp(argv[i], "--rounds") == 0 && number >= 1 && number <= GPU_ROUNDS_MAX)
            options->rounds = (int)number;
        else if (strcmp(argv[i], "--seconds") == 0 && number > 0)
            options->seconds = number;
        else
            return false;
    }
    return true;
}

void gpu_options_read(int argc, char **argv, const char *usage, gpu_options *options)
{
    if (parse(argc, argv, options))
        return;
    fprintf(stderr, "usage: %s\n", usage);
    exit(USAGE);
}

void gpu_options_apply(const gpu_options *options, gpu_bench *bench)
{
    if (options->rounds > 0)
        bench->rounds = options->rounds;
}

void gpu_options_sizes(gpu_options *options, const int64_t *size, int sizes)
{
    memcpy(options->size, size, (size_t)sizes * sizeof *size);
    options->sizes = sizes;
}
