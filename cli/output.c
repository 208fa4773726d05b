#include "command.h"

#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

int cli_report(actune_status status)
{
    fprintf(stderr, "actune: %s\n", *actune_last_error() ? actune_last_error() : actune_status_message(status));
    return CLI_FAILED;
}

int cli_complain(int exit_status, const char *format, ...)
{
    va_list arguments;
    fputs("actune: ", stderr);
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fputc('\n', stderr);
    return exit_status;
}

int cli_print_json(json_t *value)
{
    int failed = !value || json_dumpf(value, stdout, JSON_INDENT(2) | JSON_PRESERVE_ORDER | JSON_REAL_PRECISION(9));
    json_decref(value);
    putchar('\n');
    return failed ? cli_complain(CLI_FAILED, "the result could not be written as JSON") : CLI_OK;
}

struct cli_table {
    char **row;
    int rows, capacity, columns;
};

static void add_row(cli_table *table, char *text)
{
    if (table->rows == table->capacity) {
        table->capacity = table->capacity ? 2 * table->capacity : 32;
        char **row = realloc(table->row, (size_t)table->capacity * sizeof *row);
        if (!row)
            abort(); /* a program, not the library */
        table->row = row;
    }
    table->row[table->rows++] = text;
}

cli_table *cli_table_new(const char *const *headings, int columns)
{
    cli_table *table = calloc(1, sizeof *table);
    at_strbuf line = {0};
    if (!table)
        abort();
    table->columns = columns;
    for (int i = 0; i < columns; i++)
        at_strbuf_printf(&line, "%s%s", i ? "\t" : "", headings[i]);
    add_row(table, at_strbuf_take(&line));
    return table;
}

void cli_table_row(cli_table *table, const char *format, ...)
{
    va_list arguments;
    char *text = NULL;
    va_start(arguments, format);
    if (vasprintf(&text, format, arguments) < 0)
        abort();
    va_end(arguments);
    add_row(table, text);
}

enum { COLUMNS_MAX = 24 };

static int cell_width(const char *text)
{
    int width = 0;
    for (; *text && *text != '\t'; text++)
        width += (*text & 0xc0) != 0x80; /* UTF-8: count first bytes */
    return width;
}

void cli_table_free(cli_table *table)
{
    for (int r = 0; r < table->rows; r++)
        free(table->row[r]);
    free(table->row);
    free(table);
}

void cli_table_print(cli_table *table, FILE *out)
{
    int width[COLUMNS_MAX] = {0};
    for (int r = 0; r < table->rows; r++) {
        int c = 0;
        for (const char *cell = table->row[r]; cell && c < COLUMNS_MAX; c++) {
            if (cell_width(cell) > width[c])
                width[c] = cell_width(cell);
            cell = strchr(cell, '\t');
            cell = cell ? cell + 1 : NULL;
        }
    }
    for (int r = 0; r < table->rows; r++) {
        const char *cell = table->row[r];
        for (int c = 0; cell && c < COLUMNS_MAX; c++) {
            const char *end = strchr(cell, '\t');
            fprintf(out, "%.*s", end ? (int)(end - cell) : (int)strlen(cell), cell);
            if (end)
                fprintf(out, "%*s", width[c] - cell_width(cell) + 2, "");
            cell = end ? end + 1 : NULL;
        }
        fputc('\n', out);
    }
    cli_table_free(table);
}

static char *rotating_buffer(void)
{
    static char buffers[8][32];
    static int next;
    return buffers[next++ % 8];
}

const char *cli_duration(double ns)
{
    static const struct {
        double scale;
        const char *unit;
    } units[] = {{1e9, "s"}, {1e6, "ms"}, {1e3, "us"}, {1, "ns"}};
    char *text = rotating_buffer();
    int i = 0;
    while (i < 3 && ns < units[i].scale)
        i++;
    double value = ns / units[i].scale;
    snprintf(text, 32, "%.*f %s", value < 10 ? 2 : value < 100 ? 1 : 0, value, units[i].unit);
    return text;
}

const char *cli_count(int64_t n)
{
    static const char suffix[] = "GMK";
    char *text = rotating_buffer();
    for (int i = 0; i < 3; i++) {
        int64_t unit = (int64_t)1 << (10 * (3 - i));
        if (n >= unit && n % unit == 0) {
            snprintf(text, 32, "%lld%c", (long long)(n / unit), suffix[i]);
            return text;
        }
    }
    snprintf(text, 32, "%lld", (long long)n);
    return text;
}

bool cli_parse_count(const char *text, int64_t *value)
{
    char *end;
    if (*text < '0' || *text > '9')
        return false;
    long long number = strtoll(text, &end, 10);
    int shift = *end == 'K' || *end == 'k' ? 10 : *end == 'M' || *end == 'm' ? 20 : *end == 'G' || *end == 'g' ? 30 : 0;
    if (end[shift != 0] || number < 0 || number > INT64_MAX >> shift)
        return false;
    *value = (int64_t)number << shift;
    return true;
}
