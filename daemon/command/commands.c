#include "daemon/command/commands.h"

#include "daemon/base/file.h"
#include "daemon/base/guess.h"
#include "daemon/base/standard_files.h"
#include "daemon/command/help.h"
#include "store/restore.h"
#include "store/store.h"

#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

const struct command commands[] = {
    {"backup", "FILE", "copy the database to a new file, while the daemon runs",
     "FILE is the database as it was at one moment. It is checked before it gets that name, and a\n"
     "file that exists is never overwritten. It holds digests of tokens and the secrets of\n"
     "webhooks, so keep it private.",
     NULL, command_backup},
    {"check", "", "examine configuration, disk, database, hub, device, address and cluster",
     "Prints a line for each finding (ok, warning or error) that says what is wrong and what to do;\n"
     "--json is for programs. Run by root, it looks as the owner of the state folder would.\n"
     "Exit status: 0 unless there is an error, else 1.",
     NULL, command_check},
    {"prune", "", "delete what retention no longer keeps, and give the disk space back",
     "Deletes sweeps that ended more than --retention-days ago, the distributions of weights that no\n"
     "branch has any more, and large values that are damaged, then rewrites the database, which needs\n"
     "as much free disk space as the database takes. Stop the daemon first.",
     NULL, command_prune},
    {"recompute", "[MODEL]", "recompute all statistics from the kept distributions, offline",
     "For one model, or for all. Needed after an upgrade that adds a statistic or changes a definition;\n"
     "nothing is fetched. Stop the daemon first.",
     NULL, command_recompute},
    {"restore", "FILE", "replace the database by a backup; the old database is kept aside",
     "FILE is checked first. The old database is kept beside the new one under another name, which is\n"
     "printed. Stop the daemon first. A restore that was interrupted is finished when the daemon next\n"
     "starts, or by restoring once more.",
     NULL, command_restore},
    {"token", "ACTION", "make, list and revoke API tokens; see token --help", NULL, command_token_usage,
     command_token},
    {"worker", "--connect URL", "claim work from a daemon on any machine, measure, hand in the results", NULL,
     command_worker_usage, command_worker},
};
const size_t command_count = sizeof commands / sizeof commands[0];

const struct command *commands_find(const char *name)
{
    for (size_t i = 0; i < command_count; i++) {
        if (strcmp(commands[i].name, name) == 0)
            return &commands[i];
    }
    return NULL;
}

int commands_asks_help(int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0)
            return 1;
    }
    return 0;
}

int commands_refuse(const char *name)
{
    char question[GUESS_QUESTION_SIZE];
    struct guess guess;
    guess_init(&guess, name);
    for (size_t i = 0; i < command_count; i++)
        guess_offer(&guess, commands[i].name);
    (void)fprintf(stderr, "bifurcated: %s: there is no such option or command%s\n", name,
                  guess.name ? guess_ask(&guess, "", question) : "; see bifurcated --help");
    return COMMANDS_STATUS_USAGE;
}

int commands_refuse_options(int argc, char **argv, const char *const *own)
{
    for (int i = 1; i < argc; i++) {
        char name[GUESS_WORD_BYTES_MAX + 1], question[GUESS_QUESTION_SIZE];
        struct guess guess;
        if (strncmp(argv[i], "--", 2) != 0)
            continue;
        (void)snprintf(name, sizeof name, "%.*s", (int)strcspn(argv[i] + 2, "="), argv[i] + 2);
        guess_init(&guess, name);
        for (size_t k = 0; own[k]; k++)
            guess_offer(&guess, own[k]);
        if (!guess.name || strcmp(guess.name, name) == 0 || options_has(name))
            continue;
        (void)fprintf(stderr, "bifurcated: %s: there is no such option%s\n", argv[i],
                      guess_ask(&guess, "--", question));
        return COMMANDS_STATUS_USAGE;
    }
    return 0;
}

static void take(int *argc, char **argv, int at, int count)
{
    *argc -= count;
    memmove(&argv[at], &argv[at + count],
            (size_t)(*argc - at + 1) * sizeof *argv); /* with the NULL at the end */
}

const char *commands_take_word(int *argc, char **argv)
{
    int at = 1;
    while (at < *argc && options_takes(argv[at]))
        at += strchr(argv[at], '=') ? 1 : 2;
    if (at >= *argc || argv[at][0] == '-')
        return NULL;
    const char *word = argv[at];
    take(argc, argv, at, 1);
    return word;
}

const char *commands_take_option(int *argc, char **argv, const char *name)
{
    size_t length = strlen(name);
    for (int i = 1; i < *argc; i++) {
        const char *text = argv[i];
        if (strncmp(text, "--", 2) != 0 || strncmp(text + 2, name, length) != 0)
            continue;
        const char *value = text + 2 + length;
        if (value[0] == '=') {
            take(argc, argv, i, 1);
            return value + 1;
        }
        if (value[0] == '\0' && i + 1 < *argc) {
            value = argv[i + 1];
            take(argc, argv, i, 2);
            return value;
        }
    }
    return NULL;
}

int commands_take_flag(int *argc, char **argv, const char *name)
{
    for (int i = 1; i < *argc; i++) {
        if (strncmp(argv[i], "--", 2) == 0 && strcmp(argv[i] + 2, name) == 0) {
            take(argc, argv, i, 1);
            return 1;
        }
    }
    return 0;
}

int commands_check_user(const struct options *options, struct err *err)
{
    struct stat info;
    if (geteuid() != 0 || stat(options->state, &info) || info.st_uid == 0)
        return 0;
    const struct passwd *owner = getpwuid(info.st_uid); // NOLINT(concurrency-mt-unsafe): one thread
    char number[24];
    (void)snprintf(number, sizeof number, "#%lu", (unsigned long)info.st_uid);
    return err_set(err, ERR_CONFLICT,
                   "state folder %s belongs to user %s, whom files made by root would lock out: run it as "
                   "that user (runuser -u %s -- bifurcated ...)",
                   options->state, owner ? owner->pw_name : number, owner ? owner->pw_name : number);
}

int commands_find_database(const struct options *options, int may_be_missing, char **ret_path,
                           struct err *err)
{
    int code = commands_check_user(options, err);
    if (code)
        return code;
    char *path = file_join(options->state, STORE_FILE_NAME);
    if (!path)
        return err_set(err, ERR_NO_MEMORY, "%s: out of memory", options->state);
    if (!may_be_missing && access(path, F_OK) != 0) {
        code = restore_check_pending(path, err);
        if (!code)
            code = err_set(err, ERR_NOT_FOUND, "%s: there is no store; name its folder with --state", path);
        free(path);
        return code;
    }
    *ret_path = path;
    return 0;
}

int commands_act(enum options_action action)
{
    if (action == OPTIONS_ACTION_HELP)
        help_print(stdout);
    else if (action == OPTIONS_ACTION_PRINT_CONFIG)
        help_print_config(stdout);
    else if (action == OPTIONS_ACTION_PRINT_MAN)
        help_print_man(stdout);
    else if (action == OPTIONS_ACTION_VERSION)
        (void)puts("bifurcated " BIFURCATED_VERSION);
    return action != OPTIONS_ACTION_RUN;
}

int commands_load_options(int argc, char **argv, struct options *options, int *ret_status)
{
    enum options_action action = OPTIONS_ACTION_RUN;
    struct err err = ERR_INIT;
    *ret_status = 0;
    if (options_load(argc, argv, options, &action, &err)) {
        (void)fprintf(stderr, "bifurcated: %s\n", err.message);
        *ret_status = COMMANDS_STATUS_USAGE;
        return 1;
    }
    options_apply_log(options);
    return commands_act(action);
}

int commands_end(int status)
{
    if (status || !standard_files_lost_output())
        return status;
    (void)fputs("bifurcated: writing the output failed\n", stderr);
    return COMMANDS_STATUS_FAILED;
}
