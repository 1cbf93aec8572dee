#include "daemon/command/help.h"

#include "daemon/command/commands.h"
#include "daemon/options/options_table.h"

#include <ctype.h>
#include <inttypes.h>
#include <string.h>

/* Prints text so that roff takes nothing in it for a request. */
static void print_text(FILE *out, const char *text)
{
    if (*text == '.' || *text == '\'')
        (void)fputs("\\&", out);
    for (; *text; text++) {
        if (*text == '\\')
            (void)fputs("\\e", out);
        else if (*text == '-')
            (void)fputs("\\-", out);
        else if (*text == '~')
            (void)fputs("\\(ti", out);
        else
            (void)fputc(*text, out);
    }
}

static void print_upper(FILE *out, const char *text)
{
    for (; *text; text++)
        (void)fputc(*text == '-' ? '_' : toupper((unsigned char)*text), out);
}

static void print_commands(FILE *out)
{
    (void)fputs(".SH COMMANDS\nWithout a command it is the daemon. Commands take the same options.\n", out);
    for (size_t i = 0; i < command_count; i++) {
        (void)fprintf(out, ".TP\n\\fB%s\\fR \\fI", commands[i].name);
        print_text(out, commands[i].words);
        (void)fputs("\\fR\n", out);
        print_text(out, commands[i].summary);
        (void)fputs(".\n", out);
        if (commands[i].details) {
            print_text(out, commands[i].details);
            (void)fputc('\n', out);
        }
    }
}

/* The help of commands that have one of their own, as it stands. */
static void print_usages(FILE *out)
{
    for (size_t i = 0; i < command_count; i++) {
        if (!commands[i].usage)
            continue;
        (void)fputs(".SH BIFURCATED ", out);
        print_upper(out, commands[i].name);
        (void)fputs("\n.nf\n", out);
        for (const char *line = commands[i].usage; *line; line += strcspn(line, "\n") + 1) {
            char text[128];
            (void)snprintf(text, sizeof text, "%.*s", (int)strcspn(line, "\n"), line);
            print_text(out, text);
            (void)fputc('\n', out);
        }
        (void)fputs(".fi\n", out);
    }
}

static void print_option(FILE *out, const struct option_row *row)
{
    (void)fputs(".TP\n\\fB\\-\\-", out);
    print_text(out, row->name);
    (void)fputs("\\fR \\fI", out);
    print_text(out, row->value_name);
    (void)fputs("\\fR\n", out);
    print_text(out, row->help);
    (void)fputc('\n', out);
    if (row->kind == OPTION_KIND_INT)
        (void)fprintf(out, "From %" PRId64 " to %" PRId64 ".\n", row->minimum, row->maximum);
    if (row->standard[0]) {
        (void)fputs("Default: ", out);
        print_text(out, row->standard);
        (void)fputs(".\n", out);
    }
    (void)fputs("Environment: BIFURCATED_", out);
    print_upper(out, row->name);
    (void)fputs(".\n", out);
}

static void print_options(FILE *out)
{
    const char *section = "";
    (void)fputs(".SH OPTIONS\n"
                ".TP\n\\fB\\-h\\fR, \\fB\\-\\-help\\fR\nA summary of everything here.\n"
                ".TP\n\\fB\\-V\\fR, \\fB\\-\\-version\\fR\nThe version.\n"
                ".TP\n\\fB\\-\\-print\\-config\\fR\nA configuration file with every option and its default.\n"
                ".TP\n\\fB\\-\\-print\\-man\\fR\nThis page.\n"
                ".TP\n\\fB\\-\\-config\\fR \\fIFILE\\fR\n"
                "Read this file instead of the one that is found. Environment: BIFURCATED_CONFIG.\n",
                out);
    for (size_t i = 0; i < option_row_count; i++) {
        if (strcmp(section, option_rows[i].section) != 0)
            (void)fprintf(out, ".SS [%s]\n", option_rows[i].section);
        section = option_rows[i].section;
        print_option(out, &option_rows[i]);
    }
}

void help_print_man(FILE *out)
{
    (void)fputs(
        ".TH BIFURCATED 8 2026-11-25 \"bifurcated " BIFURCATED_VERSION "\" \"System administration\"\n"
        ".SH NAME\nbifurcated \\- watches how a language model's weights move while it is trained\n"
        ".SH SYNOPSIS\n.B bifurcated\n.RI [ OPTIONS ]\n.br\n.B bifurcated\n.I COMMAND\n.RI [ OPTIONS ]\n"
        ".SH DESCRIPTION\n"
        "The daemon reads training checkpoints from the Hugging Face hub or from folders, measures their\n"
        "unembedding matrix and perplexity, keeps the results in SQLite, and serves them as JSON and as a\n"
        "dashboard. Nothing needs to be configured. Work is started with\n.BR bifurcate (1).\n.PP\n"
        "Options come from the command line, then the environment, then the configuration file, see\n"
        ".BR bifurcated.conf (5).\n",
        out);
    print_commands(out);
    print_options(out);
    print_usages(out);
    (void)fputs(
        ".SH SIGNALS\n"
        "TERM and INT stop it: running tasks get a few seconds to end and go back to the queue otherwise.\n"
        "A second one stops at once; nothing is lost. HUP reads the log options and the\n"
        "certificate again.\n"
        ".SH A HUB THAT IS DOWN\n"
        "No address, no connection, time-outs or 5xx to everything pause what needs the hub, or that host\n"
        "of its files which is down; no attempt of a revision is counted. It is asked again after two\n"
        "seconds, then at intervals that double up to five minutes, and work goes on by itself. After a day\n"
        "(from the daemon's start, if that was later) revisions fail as from any other fault. A hub that\n"
        "never answered fails a plan within a quarter of a minute: its address may be wrong. Revisions "
        "whose\n"
        "files lie on a host that never answered use up their attempts: it may be closed to this machine.\n"
        ".SH EXIT STATUS\n",
        out);
#define X(symbol, value, meaning) (void)fprintf(out, ".TP\n%d\n%s\n", value, meaning);
    COMMANDS_STATUSES(X)
#undef X
    (void)fputs(
        ".SH ENVIRONMENT\n"
        "HF_ENDPOINT, HF_TOKEN, HF_HOME, HF_HUB_CACHE, HF_HUB_OFFLINE and the proxy variables mean what\n"
        "they mean to Python; without HF_TOKEN, the file of\n.B hf auth login\nis read, anew whenever it "
        "changes. "
        "NOTIFY_SOCKET and WATCHDOG_USEC are systemd's.\n"
        ".SH FILES\n"
        ".TP\n.I /etc/bifurcated/bifurcated.conf\nThe configuration.\n"
        ".TP\n.I /etc/bifurcated/environment\nHF_TOKEN and proxies for the service.\n"
        ".TP\n.I STATE/bifurcated.db\nThe database.\n"
        ".TP\n.I STATE/address\nWhere the running daemon listens.\n"
        ".TP\n.I STATE/hub-reached\nThe hub that ever answered it, and the hosts of its files.\n"
        ".SH SEE ALSO\n.BR bifurcate (1),\n.BR bifurcated.conf (5),\n"
        ".I /usr/share/doc/bifurcated/README.md\n",
        out);
}
