#include "daemon/command/help.h"

#include "daemon/command/commands.h"
#include "daemon/options/options_table.h"

#include <ctype.h>
#include <inttypes.h>
#include <string.h>

/* Prints text wrapped to 80 columns, each line after `prefix`. */
static void print_wrapped(FILE *out, const char *prefix, const char *text)
{
    size_t room = 80 - strlen(prefix);
    while (*text) {
        size_t length = strlen(text);
        if (length > room) {
            length = room;
            while (length > 0 && text[length] != ' ')
                length--;
            if (length == 0)
                length = strcspn(text, " ");
        }
        (void)fprintf(out, "%s%.*s\n", prefix, (int)length, text);
        text += length;
        while (*text == ' ')
            text++;
    }
}

/* Before the first option of each. */
static void print_section(FILE *out, size_t i)
{
    if (i == 0 || strcmp(option_rows[i - 1].section, option_rows[i].section) != 0)
        (void)fprintf(out, "\n[%s]\n", option_rows[i].section);
}

void help_print(FILE *out)
{
    (void)fputs("bifurcated: watches how a language model's weights move while it is trained.\n\n"
                "Usage: bifurcated [--config FILE] [--OPTION VALUE]...\n"
                "       bifurcated COMMAND [--OPTION VALUE]...\n\n"
                "Starts the daemon: the API, the dashboard and the workers. Nothing needs to be set.\n"
                "Start work with the client: bifurcate sweep EleutherAI/pythia-14m --follow\n"
                "\nCommands:\n",
                out);
    for (size_t i = 0; i < command_count; i++) {
        char left[48];
        (void)snprintf(left, sizeof left, "%s %s", commands[i].name, commands[i].words);
        (void)fprintf(out, "  %-22s%s\n", left, commands[i].summary);
    }
    (void)fputs("\n  -h, --help            this text\n"
                "  -V, --version         the version\n"
                "      --print-config    a configuration file with every option and its default\n"
                "      --print-man       the manual page bifurcated(8)\n"
                "      --config FILE     read this file (or $BIFURCATED_CONFIG) instead of\n"
                "                        ~/.config/bifurcated/bifurcated.conf or\n"
                "                        /etc/bifurcated/bifurcated.conf\n\n"
                "Each option can also be set by the environment (BIFURCATED_LISTEN for --listen)\n"
                "and in the file. Signals: TERM drains and stops, HUP reads the log options\n"
                "and the certificate again.\n\nExit status:\n",
                out);
#define X(symbol, value, meaning) (void)fprintf(out, "  %-4d %s\n", value, meaning);
    COMMANDS_STATUSES(X)
#undef X
    for (size_t i = 0; i < option_row_count; i++) {
        print_section(out, i);
        (void)fprintf(out, "  --%s %s", option_rows[i].name, option_rows[i].value_name);
        if (option_rows[i].standard[0])
            (void)fprintf(out, "  (%s)", option_rows[i].standard);
        (void)fputc('\n', out);
        print_wrapped(out, "        ", option_rows[i].help);
    }
}

void help_print_command(const struct command *command, FILE *out)
{
    if (command->usage) {
        (void)fputs(command->usage, out);
        return;
    }
    (void)fprintf(
        out,
        "Usage: bifurcated %s %s%s[--OPTION VALUE]...\n\n%c%s.\n\n%s\n\n"
        "--state FOLDER or --config FILE says whose state it works on; `bifurcated --help` has all\n"
        "options.\n",
        command->name, command->words, command->words[0] ? " " : "",
        toupper((unsigned char)command->summary[0]), command->summary + 1, command->details);
}

void help_print_config(FILE *out)
{
    (void)fputs("# The configuration of bifurcated: every option with its default. A line that\n"
                "# starts with # is a comment; remove the # before a name to set it. The\n"
                "# environment (BIFURCATED_LISTEN) and the command line (--listen) come before\n"
                "# this file.\n",
                out);
    for (size_t i = 0; i < option_row_count; i++) {
        print_section(out, i);
        (void)fputc('\n', out);
        print_wrapped(out, "# ", option_rows[i].help);
        if (option_rows[i].kind == OPTION_KIND_CHOICE)
            (void)fprintf(out, "# One of: %s\n", option_rows[i].choices);
        if (option_rows[i].kind == OPTION_KIND_INT)
            (void)fprintf(out, "# From %" PRId64 " to %" PRId64 "\n", option_rows[i].minimum,
                          option_rows[i].maximum);
        (void)fprintf(out, "#%s =%s%s\n", option_rows[i].name, option_rows[i].standard[0] ? " " : "",
                      option_rows[i].standard);
    }
}
