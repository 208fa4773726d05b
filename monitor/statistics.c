/* One event (and one line of JSON) from the statistics of a layer. */
#include "json.h"
#include "monitor.h"
#include "values.h"

#include <stdlib.h>
#include <string.h>

typedef struct row {
    const char *name;
    double value;
} row;

enum { ROWS_MAX = 16, TAG_BYTES = 1024 + 32 };

static double fraction(int64_t part, int64_t whole)
{
    return whole > 0 ? (double)part / (double)whole : 0;
}

/* What is written, under both the tags and the keys of JSON. */
static int rows_of(const actune_statistics *s, row *rows)
{
    const row all[] = {{"count", (double)s->count},
                       {"fraction_nonpositive", fraction(s->nonpositive, s->count)},
                       {"fraction_zero", fraction(s->zero, s->count)},
                       {"fraction_clipped", fraction(s->clipped, s->count)},
                       {"nan", (double)s->nan},
                       {"inf", (double)s->inf},
                       {"mean", s->mean},
                       {"variance", s->variance},
                       {"absmax", s->absmax},
                       {"channels", (double)s->channel_count},
                       {"dead_channels", fraction(s->dead_channels, s->channel_count)},
                       {"window", (double)s->window_steps}};
    int count = s->window_steps > 0 && s->channel_count > 0 ? 12 : s->channel_count > 0 ? 10 : 9;
    memcpy(rows, all, (size_t)count * sizeof *rows);
    return count;
}

static char *line_of(const char *layer, int64_t step, const row *rows, int count)
{
    char *line = NULL;
    size_t length;
    FILE *to = open_memstream(&line, &length);
    if (!to)
        return NULL;
    fputs("{\"layer\": ", to);
    at_json_string(to, layer);
    fprintf(to, ", \"step\": %lld", (long long)step);
    for (int i = 0; i < count; i++) {
        fprintf(to, ", \"%s\": ", rows[i].name);
        at_json_number(to, rows[i].value);
    }
    fputc('}', to);
    bool failed = ferror(to);
    if (fclose(to) || failed) {
        free(line);
        return NULL;
    }
    return line;
}

/* What an event of statistics is made of; too large for the stack of a small thread. */
typedef struct parts {
    row rows[ROWS_MAX];
    char tags[ROWS_MAX + 1][TAG_BYTES];
    AtEvent__Value values[ROWS_MAX + 1], *pointers[ROWS_MAX + 1];
    at_histogram histogram;
    AtEvent__Histogram proto;
} parts;

/* The fraction of each channel that is > 0: what is neither <= 0 nor NaN. */
static actune_status add_histogram(parts *p, int at, const actune_statistics *s)
{
    double *active = malloc((size_t)s->channel_count * sizeof *active);
    if (!active)
        return at_monitor_fail(ACTUNE_NO_MEMORY, "no memory for a histogram of %lld channels", (long long)s->channel_count);
    for (int64_t c = 0; c < s->channel_count; c++) {
        const actune_statistics *one = &s->channels[c];
        active[c] = fraction(one->count - one->nonpositive - one->nan, one->count);
    }
    at_histogram_of(&p->histogram, active, s->channel_count);
    free(active);
    p->values[at] = at_value_histogram(p->tags[at], &p->histogram, &p->proto);
    return ACTUNE_OK;
}

static actune_status add(actune_monitor *monitor, const char *layer, int64_t step, const actune_statistics *s, parts *p)
{
    int count = rows_of(s, p->rows);
    char *line = NULL;
    if (monitor->json_lines && !(line = line_of(layer, step, p->rows, count)))
        return at_monitor_fail(ACTUNE_NO_MEMORY, "no memory for the statistics of %s", layer);
    for (int i = 0; i < count; i++) {
        snprintf(p->tags[i], TAG_BYTES, "%s/%s", layer, p->rows[i].name);
        p->values[i] = at_value_scalar(p->tags[i], p->rows[i].value);
    }
    actune_status status = ACTUNE_OK;
    if (s->channel_count > 0 && s->channels) {
        snprintf(p->tags[count], TAG_BYTES, "%s/active_per_channel", layer);
        status = add_histogram(p, count++, s);
    }
    for (int i = 0; i < count; i++)
        p->pointers[i] = &p->values[i];
    if (!status)
        status = at_monitor_add_values(monitor, step, p->pointers, (size_t)count, line);
    free(line);
    return status;
}

actune_status actune_monitor_statistics(actune_monitor *monitor, const char *layer, int64_t step, const actune_statistics *s)
{
    AT_MONITOR_TRY(at_monitor_check_tag("a layer's name", layer));
    if (!s || s->count < 0 || s->channel_count < 0)
        return at_monitor_fail(ACTUNE_INVALID_ARGUMENT, "the statistics of %s are %s", layer, s ? "of a negative count" : "NULL");
    parts *p = malloc(sizeof *p);
    if (!p)
        return at_monitor_fail(ACTUNE_NO_MEMORY, "no memory for the statistics of %s", layer);
    actune_status status = add(monitor, layer, step, s, p);
    free(p);
    return status;
}
