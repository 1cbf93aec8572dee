/*
 * The commands of `bifurcated` beside running the daemon: `bifurcated COMMAND [WORD...] [--OPTION VALUE]...`.
 *
 * Each works on the state folder or on its surroundings, prints to standard output and ends. All take the
 * daemon's options, from the same places (options.h), and may have some of their own.
 */
#ifndef BIFURCATED_DAEMON_COMMANDS_H
#define BIFURCATED_DAEMON_COMMANDS_H

#include "daemon/options.h"

#include <stddef.h>

#define COMMANDS_STATUS_FAILED 1
#define COMMANDS_STATUS_USAGE 2

struct command {
    const char *name;
    const char *words;   /* "[MODEL]"; "" for none */
    const char *summary; /* one line of --help */
    /* argv[0] is the name of the command. Returns the exit status. */
    int (*run)(int argc, char **argv);
};

extern const struct command commands[];
extern const size_t command_count;

/* The command called `name`, or NULL. */
const struct command *commands_find(const char *name);

/* -- For the files command_*.c -- */

/* Takes the first word that is no option out of the arguments; NULL if there is none. Words come before
 * options. */
const char *commands_take_word(int *argc, char **argv);

/* Takes "--name VALUE" or "--name=VALUE" out of the arguments, wherever it stands; NULL if it is not there.
 */
const char *commands_take_option(int *argc, char **argv, const char *name);

/* Loads the options from what is left of the arguments, and configures the log. Nonzero if the command is
 * over, because only help was asked for or the options are wrong: then *ret_status is the exit status. The
 * caller frees the options either way. */
int commands_load_options(int argc, char **argv, struct options *options, int *ret_status);

int command_recompute(int argc, char **argv);

#endif
