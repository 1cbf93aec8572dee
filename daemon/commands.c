#include "daemon/commands.h"

#include <stdio.h>
#include <string.h>

const struct command commands[] = {
    {"recompute", "[MODEL]", "make all statistics again from the kept distributions, offline",
     command_recompute},
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

static void take(int *argc, char **argv, int at, int count)
{
    *argc -= count;
    memmove(&argv[at], &argv[at + count],
            (size_t)(*argc - at + 1) * sizeof *argv); /* with the NULL at the end */
}

const char *commands_take_word(int *argc, char **argv)
{
    if (*argc < 2 || argv[1][0] == '-')
        return NULL;
    const char *word = argv[1];
    take(argc, argv, 1, 1);
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
    if (action == OPTIONS_ACTION_HELP)
        options_print_help(stdout);
    else if (action == OPTIONS_ACTION_PRINT_CONFIG)
        options_print_config(stdout);
    else if (action == OPTIONS_ACTION_VERSION)
        (void)puts("bifurcated " BIFURCATED_VERSION);
    return action != OPTIONS_ACTION_RUN;
}
