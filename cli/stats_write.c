#include "stats_write.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static double fraction(int64_t part, int64_t whole)
{
    return whole > 0 ? (double)part / (double)whole : 0;
}

/* Keys as monitor/statistics.c has them. */
static json_t *line_of(const char *layer, const actune_statistics *s)
{
    return json_pack("{s:s, s:I, s:f, s:f, s:f, s:I, s:I, s:f, s:f, s:f}", "layer", layer, "count", (json_int_t)s->count, "fraction_nonpositive",
                     fraction(s->nonpositive, s->count), "fraction_zero", fraction(s->zero, s->count), "fraction_clipped", fraction(s->clipped, s->count),
                     "nan", (json_int_t)s->nan, "inf", (json_int_t)s->inf, "mean", s->mean, "variance", s->variance, "absmax", s->absmax);
}

static bool put(FILE *to, json_t *line)
{
    bool good = line && !json_dumpf(line, to, JSON_PRESERVE_ORDER) && fputc('\n', to) != EOF;
    json_decref(line);
    return good;
}

static bool put_all(FILE *to, const char *spec, const char *device, const actune_statistics *all)
{
    json_t *first = line_of("tensor", all);
    if (!first || json_object_set_new(first, "spec", json_string(spec)) || (device && json_object_set_new(first, "device", json_string(device)))) {
        json_decref(first);
        return false;
    }
    bool good = put(to, first);
    for (int64_t c = 0; good && c < all->channel_count; c++) {
        char name[40];
        snprintf(name, sizeof name, "tensor/channel %lld", (long long)c);
        good = put(to, line_of(name, &all->channels[c]));
    }
    return good;
}

static actune_status write_file(const char *path, const char *spec, const char *device, const actune_statistics *all)
{
    size_t length = strlen(path) + 8;
    char *temporary = malloc(length);
    if (!temporary)
        return at_fail(ACTUNE_NO_MEMORY, "no memory for statistics");
    snprintf(temporary, length, "%s.part", path);
    FILE *to = fopen(temporary, "w");
    bool good = to && put_all(to, spec, device, all);
    good = to && !fclose(to) && good && !rename(temporary, path);
    actune_status status = good ? ACTUNE_OK : at_fail(ACTUNE_IO, "%s cannot be written: %s", path, strerror(errno));
    if (!good)
        unlink(temporary);
    free(temporary);
    return status;
}

actune_status cli_stats_write(const char *path, const char *spec, const char *device, const double *records, int64_t channels)
{
    actune_statistics all, *each = channels > 1 ? calloc((size_t)channels, sizeof *each) : NULL;
    if (channels > 1 && !each)
        return at_fail(ACTUNE_NO_MEMORY, "no memory for statistics of %lld channels", (long long)channels);
    actune_status status = channels == 0 ? ACTUNE_OK : actune_statistics_from_records(records, channels, each, &all);
    if (channels == 0)
        all = (actune_statistics){0};
    if (!status)
        status = write_file(path, spec, device, &all);
    free(each);
    return status;
}
