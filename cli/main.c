#include "command.h"

#include <string.h>

const cli_command cli_commands[] = {
    {"devices", "list the devices that kernels can be tuned for", cli_devices},
    {"ops", "list the activations and stages of the spec language", cli_ops},
    {"gen", "print the generated source of a kernel", cli_gen},
    {"tune", "find the fastest kernels on this machine and store them", cli_tune},
    {"show", "list the winners in the database", cli_show},
    {"why", "explain which kernel is used for a shape, and what it was measured against", cli_why},
    {"apply", "run a kernel on tensors in files", cli_apply},
    {"clip-grads", "clip gradients in files, by their common norm or by value", cli_clip_grads},
    {"init", "write initial weights (He, Xavier) for a layer", cli_init},
    {"calibrate", "find scales for 8-bit tensors from samples in files", cli_calibrate},
    {"verify", "check kernels against the reference and report their error", cli_verify},
    {"bench", "measure a kernel beside its default, a plain loop and copies of the same bytes", cli_bench},
    {"export", "make a library of tuned kernels that needs nothing of actune", cli_export},
    {"db", "check or dump the tuning database", cli_db},
    {"doctor", "look for what keeps actune from working well here", cli_doctor},
};
const int cli_command_count = sizeof cli_commands / sizeof *cli_commands;

static void print_help(FILE *out)
{
    fputs("Usage: actune COMMAND [OPTION...]\n"
          "Generates, tunes and runs activation kernels for this machine.\n\nCommands:\n",
          out);
    for (int i = 0; i < cli_command_count; i++)
        fprintf(out, "  %-10s %s\n", cli_commands[i].name, cli_commands[i].summary);
    fputs("\n`actune COMMAND --help` explains a command.\n\n"
          "Exit status: 0 all well, 1 failed, 2 wrong usage.\n\n"
          "Environment: ACTUNE_DB database file, ACTUNE_CC compiler for generated code, ACTUNE_ISA lowers the\n"
          "instruction set, ACTUNE_LIBCLANG, ACTUNE_NVRTC and ACTUNE_CUDNN library files (ACTUNE_CUDNN=none: not used),\n"
          "XDG_CACHE_HOME, XDG_DATA_HOME.\n",
          out);
}

int main(int argc, char **argv)
{
    argp_err_exit_status = CLI_USAGE;
    if (argc < 2) {
        print_help(stderr);
        return CLI_USAGE;
    }
    if (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h") || !strcmp(argv[1], "help")) {
        print_help(stdout);
        return CLI_OK;
    }
    if (!strcmp(argv[1], "--version") || !strcmp(argv[1], "-V")) {
        puts("actune " ACTUNE_VERSION_TEXT);
        return CLI_OK;
    }
    for (int i = 0; i < cli_command_count; i++)
        if (!strcmp(argv[1], cli_commands[i].name)) {
            static char name[64];
            snprintf(name, sizeof name, "actune %s", cli_commands[i].name);
            argv[1] = name;
            program_invocation_name = name;
            int status = cli_commands[i].run(argc - 1, argv + 1);
            if (fflush(stdout) || ferror(stdout))
                return cli_complain(CLI_FAILED, "standard output could not be written");
            return status;
        }
    return cli_complain(CLI_USAGE, "there is no command '%s'; `actune --help` lists them", argv[1]);
}
