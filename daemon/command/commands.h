/*
 * The commands of `bifurcated` besides running the daemon: `bifurcated COMMAND [WORD...] [--OPTION
 * VALUE]...`.
 *
 * Each works on the state folder or on its surroundings, prints to standard output and ends. All take the
 * daemon's options, from the same places (options.h), and may have some of their own.
 */
#ifndef BIFURCATED_COMMAND_COMMANDS_H
#define BIFURCATED_COMMAND_COMMANDS_H

#include "daemon/options/options.h"

#include <stddef.h>

/* What the program ends with, whether it serves, works for a daemon or runs another command. */
#define COMMANDS_STATUSES(X)                                                                                 \
    X(DONE, 0, "stopped as asked; a command succeeded")                                                      \
    X(FAILED, 1, "it could not start; a command failed; check found an error")                               \
    X(USAGE, 2, "wrong options")                                                                             \
    X(LOST, 70, "a compute device is lost, or a revision hangs (hang-after-s): start it again")

enum commands_status {
#define X(symbol, value, meaning) COMMANDS_STATUS_##symbol = (value),
    COMMANDS_STATUSES(X)
#undef X
};

struct command {
    const char *name;
    const char *words;   /* "[MODEL]"; "" for none */
    const char *summary; /* one line of --help */
    const char *details; /* more lines for its own --help, or NULL */
    const char *usage;   /* its own --help, whole; NULL: made of the others */
    /* argv[0] is the name of the command. Returns the exit status. */
    int (*run)(int argc, char **argv);
};

extern const struct command commands[];
extern const size_t command_count;

/* The command called `name`, or NULL. */
const struct command *commands_find(const char *name);

/* The help of those that have more to say. */
extern const char command_token_usage[], command_worker_usage[];

/* Whether -h or --help is among the arguments. */
int commands_asks_help(int argc, char **argv);

/* Says that there is no command `name`, and which one may be meant; returns the exit status. */
int commands_refuse(const char *name);

/* -- For the files command_*.c -- */

/* Takes the first word out of the arguments that is no option of the table and no value of one; NULL if there
 * is none. A command's own options come after its words. */
const char *commands_take_word(int *argc, char **argv);

/* Takes "--name VALUE" or "--name=VALUE" out of the arguments, wherever it stands; NULL if it is not there.
 */
const char *commands_take_option(int *argc, char **argv, const char *name);

/* Takes the flag "--name" out of the arguments; returns whether it was there. */
int commands_take_flag(int *argc, char **argv, const char *name);

/* Refuses (ERR_CONFLICT) to work on a state folder of another user as root: files that root makes there would
 * lock the daemon out. The message says how to do it. A folder that does not exist is fine. */
int commands_check_user(const struct options *options, struct err *err);

/* The path of the database, "<state>/bifurcated.db", for a command that this user may run on it
 * (commands_check_user); the caller frees it. Unless `may_be_missing`: ERR_NOT_FOUND if there is
 * none, ERR_CONFLICT if a restore of it waits to be finished. */
int commands_find_database(const struct options *options, int may_be_missing, char **ret_path,
                           struct err *err);

/* Whether an argument is nearly one of the command's `own` options (NULL at the end) and none of the
 * daemon's: then says which may be meant and returns the exit status, else 0. The rest is checked when
 * options load. */
int commands_refuse_options(int argc, char **argv, const char *const *own);

/* Loads the options from what is left of the arguments, and configures the log. Nonzero if the command is
 * over, because only help was asked for or the options are wrong: then *ret_status is the exit status. The
 * caller frees the options either way. */
int commands_load_options(int argc, char **argv, struct options *options, int *ret_status);

/* The exit status of a command that has printed and is over: not success if the output could not be
 * written. */
int commands_end(int status);

/* Prints what was asked for instead of running (help, version, configuration); nonzero if that was it. */
int commands_act(enum options_action action);

int command_backup(int argc, char **argv);
int command_check(int argc, char **argv);
int command_prune(int argc, char **argv);
int command_recompute(int argc, char **argv);
int command_restore(int argc, char **argv);
int command_token(int argc, char **argv);
int command_worker(int argc, char **argv);

#endif
