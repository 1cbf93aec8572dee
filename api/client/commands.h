/*
 * The commands of `bifurcate`. Each returns the exit status, which scripts may rely on.
 */
#ifndef BIFURCATED_API_CLIENT_COMMANDS_H
#define BIFURCATED_API_CLIENT_COMMANDS_H

#include "api/client/arguments.h"
#include "api/client/link.h"
#include "api/client/table.h"
#include "daemon/base/err.h"

/* The same for every command; --help prints them. */
#define CLIENT_EXITS(X)                                                                                      \
    X(DONE, 0, "done")                                                                                       \
    X(FAILED, 1, "a sweep ended with failures or was cancelled")                                             \
    X(USAGE, 2, "wrong usage, also where only the daemon can tell")                                          \
    X(UNREACHABLE, 3, "no daemon answers")                                                                   \
    X(NOT_FOUND, 4, "what was named is not known, or nothing of it is measured")                             \
    X(ERROR, 5, "any other error")                                                                           \
    X(INTERRUPTED, 130, "interrupted; a sweep that was followed, or a look, goes on")

enum client_exit {
#define X(symbol, value, meaning) CLIENT_EXIT_##symbol = (value),
    CLIENT_EXITS(X)
#undef X
};

/* api/client/follow.c */
int client_run_follow(const struct client_arguments *arguments);

/* api/client/sweep.c */
int client_run_sweep(const struct client_arguments *arguments);
int client_run_show(const struct client_arguments *arguments);
int client_run_cancel(const struct client_arguments *arguments);

/* api/client/watch.c */
int client_run_watch(const struct client_arguments *arguments);
int client_run_unwatch(const struct client_arguments *arguments);
int client_run_deliveries(const struct client_arguments *arguments);
int client_run_watches(const struct client_arguments *arguments);

/* api/client/tokens.c */
int client_run_tokens(const struct client_arguments *arguments);
int client_run_issue(const struct client_arguments *arguments);
int client_run_revoke(const struct client_arguments *arguments);

/* api/client/remove.c */
int client_run_remove(const struct client_arguments *arguments);

/* api/client/perplexity.c */
int client_run_perplexity(const struct client_arguments *arguments);

/* api/client/analyze.c */
int client_run_analyze(const struct client_arguments *arguments);
int client_run_audit(const struct client_arguments *arguments);
int client_run_scaling(const struct client_arguments *arguments);

/* api/client/pictures.c */
int client_run_distribution(const struct client_arguments *arguments);
int client_run_values(const struct client_arguments *arguments);
int client_run_columns(const struct client_arguments *arguments);
int client_run_trajectories(const struct client_arguments *arguments);
int client_run_displacement(const struct client_arguments *arguments);

/* api/client/plot_command.c */
int client_run_plot(const struct client_arguments *arguments);

/* api/client/series.c */
int client_run_series(const struct client_arguments *arguments);
int client_run_revision(const struct client_arguments *arguments);

/* api/client/lists.c */
int client_run_models(const struct client_arguments *arguments);
int client_run_tensors(const struct client_arguments *arguments);
int client_run_sweeps(const struct client_arguments *arguments);
int client_run_tasks(const struct client_arguments *arguments);
int client_run_history(const struct client_arguments *arguments);
int client_run_devices(const struct client_arguments *arguments);
int client_run_workers(const struct client_arguments *arguments);
int client_run_jobs(const struct client_arguments *arguments);
int client_run_status(const struct client_arguments *arguments);

/* Puts what the options say of the texts (field, tokenizer, limit, window, stride) into the request of a
 * sweep. */
int client_sweep_set_texts(const struct client_arguments *arguments, json_t *request, struct err *err);

/* Shows the progress of a sweep until it has ended; a stream that breaks off is opened again for a while.
 * `prints_sweep`: says how it ended, also if all went well. Returns the exit status. */
int client_follow_sweep(struct client_link *link, const struct client_arguments *arguments, int64_t id,
                        int prints_sweep);

/* The same of several sweeps in one line: how many have ended, and the sum of the others; each is told when
 * it ends. They are looked at once a second. Of one, as client_follow_sweep, unless it is the only active one
 * and --json wants them all. */
int client_follow_sweeps(struct client_link *link, const struct client_arguments *arguments,
                         const int64_t *ids, size_t count);

/* After the request of a command for something of a model, which ended with `code`: where the daemon does not
 * know the model, asks which one is meant; where it knows the name only from a sweep that failed (`is_empty`:
 * nothing was found), says so with ERR_NOT_FOUND. Else returns `code`. */
int client_check_model(struct client_link *link, const char *model, int code, int is_empty, struct err *err);

/* The same for a revision: where the daemon does not know it, asks which one is meant. Returns `code`. */
int client_check_revision(struct client_link *link, const char *model, const char *revision, int code,
                          struct err *err);

/* Tells of each --revision that the daemon does not know of the model so far which one may be meant: it may
 * be new, and a sweep takes a while to find that it is not there. Where nothing is near, nothing is said. */
void client_note_revisions(struct client_link *link, const struct client_arguments *arguments,
                           const char *model);

/* Tells on stderr which revisions an answer leaves out since their stored values are damaged, and what to do
 * about that; returns how many. */
size_t client_note_damaged(const json_t *document);

/* Tells, where no revision of the model is known, which model may be meant. */
void client_note_absence(struct client_link *link, const char *model);

/* Prints the error, with what to do about it, and returns the exit status for it. */
int client_report(const struct err *err);

/* Prints a member `key` of `document` that is a list: as the arguments want it (table, --json: the whole
 * document, --csv). Of an empty table a terminal is told the `hint`, a sentence, if there is one. Returns the
 * exit status. */
int client_print_list(const struct client_arguments *arguments, const json_t *document, const char *key,
                      const struct client_column *columns, size_t column_count, const char *hint);

/* Prints a document as it is, for --json. */
void client_print_json(const json_t *document);

/* The whole program. */
int client_main(int argc, char **argv);

/* The request of a sweep of `model` as the arguments say (api/sweeps/sweep_request.h); the caller releases
 * *ret_root. ERR_INVALID. */
int client_sweep_request(const struct client_arguments *arguments, const char *model, json_t **ret_root,
                         struct err *err);

/* Sets a member to the integer that an option gives, if it was given. ERR_INVALID. */
int client_parse_number(const char *name, const char *text, json_t *object, const char *key, struct err *err);

/* GET of all pages of a list, printed as client_print_list does; the exit status. */
int client_list(const struct client_arguments *arguments, const char *target, const char *key,
                const struct client_column *columns, size_t column_count, const char *hint);

#endif
