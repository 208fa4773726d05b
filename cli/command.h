/* The program `actune`: one file a subcommand. Exit status: 0 ok, 1 failed, 2 wrong usage. */
#ifndef AT_CLI_COMMAND_H
#define AT_CLI_COMMAND_H

#include "codegen/variant.h"
#include "runtime/device.h"
#include <argp.h>
#include <jansson.h>
#include <stdio.h>

enum { CLI_OK = 0, CLI_FAILED = 1, CLI_USAGE = 2 };

typedef struct cli_command {
    const char *name, *summary;
    int (*run)(int argc, char **argv); /* argv[0] is "actune NAME" */
} cli_command;

extern const cli_command cli_commands[];
extern const int cli_command_count;

int cli_devices(int argc, char **argv);
int cli_ops(int argc, char **argv);
int cli_gen(int argc, char **argv);
int cli_tune(int argc, char **argv);
int cli_show(int argc, char **argv);
int cli_why(int argc, char **argv);
int cli_apply(int argc, char **argv);
int cli_clip_grads(int argc, char **argv);
int cli_init(int argc, char **argv);
int cli_calibrate(int argc, char **argv);
int cli_verify(int argc, char **argv);
int cli_bench(int argc, char **argv);
int cli_export(int argc, char **argv);
int cli_db(int argc, char **argv);
int cli_doctor(int argc, char **argv);

/* Prints "actune: <last error>" to stderr and gives the exit status for it. */
int cli_report(actune_status status);
/* The same with own words. */
int cli_complain(int exit_status, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Prints JSON (sorted as built, two spaces, newline) and releases it. CLI_FAILED when it could not be written. */
int cli_print_json(json_t *value);

/* Text columns, aligned when printed. A cell's text is copied. */
typedef struct cli_table cli_table;
cli_table *cli_table_new(const char *const *headings, int columns);
/* One printf for the whole row, cells separated by tabs. */
void cli_table_row(cli_table *table, const char *format, ...) __attribute__((format(printf, 2, 3)));
void cli_table_print(cli_table *table, FILE *out); /* and frees it */
void cli_table_free(cli_table *table);             /* one that is not printed */

/* Nanoseconds and counts as people write them: "12.3 us", "4M", "16K". The text is in a rotating static buffer. */
const char *cli_duration(double ns);
const char *cli_count(int64_t n);

/* "16K", "4M", "1G" or plain digits; false when it is no such number. Powers of 1024. */
bool cli_parse_count(const char *text, int64_t *value);

#endif
