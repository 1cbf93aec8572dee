/*
 * The command line of `bifurcate`: commands and options from one table each, which also make the help.
 */
#ifndef BIFURCATED_API_CLIENT_ARGUMENTS_H
#define BIFURCATED_API_CLIENT_ARGUMENTS_H

#include "daemon/base/err.h"

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#define CLIENT_WORDS_MAX 256
#define CLIENT_LIST_MAX 256

/* symbol, name, what its value is called (NULL: a switch), whether it may be repeated, meaning */
#define CLIENT_OPTIONS(X)                                                                                    \
    X(SERVER, "server", "URL", 0,                                                                            \
      "daemon to talk to (default: $BIFURCATE_SERVER, then http://127.0.0.1:7143)")                          \
    X(CA_FILE, "ca-file", "FILE", 0, "certificates (PEM) to trust for https (default: $BIFURCATE_CA_FILE)")  \
    X(TOKEN_FILE, "token-file", "FILE", 0, "file with the token for writes (default: $BIFURCATE_TOKEN)")     \
    X(JSON, "json", NULL, 0, "print JSON as the daemon gave it")                                             \
    X(CSV, "csv", NULL, 0, "print CSV")                                                                      \
    X(HELP, "help", NULL, 0, "print this help")                                                              \
    X(FOLLOW, "follow", NULL, 0, "stay until the sweep has ended and show its progress")                     \
    X(FROM, "from", "STEP", 0, "first training step, or where names count tokens, 200B of them")             \
    X(TO, "to", "STEP", 0, "last training step")                                                             \
    X(EVERY, "every", "N", 0, "only every N-th revision, and the last")                                      \
    X(REVISION, "revision", "NAME", 1,                                                                       \
      "this revision only; may be repeated: a branch, tag, main:FOLDER, main^TITLE or hf://OWNER/NAME")      \
    X(RULE, "rule", "TEXT", 0,                                                                               \
      "where the step is: run7-{step}, main:checkpoint-{step}, main^Step {step}, hf://OWNER/NAME-{step}")    \
    X(TENSOR, "tensor", "NAME", 1, "this tensor instead of the unembedding; sweeps take patterns (*)")       \
    X(METRIC, "metric", "NAME", 1, "statistics (the default) or perplexity; may be repeated")                \
    X(REFERENCE, "reference", "NAME", 0, "revision that displacements start from (default: the first)")      \
    X(DATASET, "dataset", "NAME", 0, "texts for perplexity: owner/name, owner/name:FILE or file:/path")      \
    X(FIELD, "field", "NAME", 0, "member of each JSON line that holds the text (default: text)")             \
    X(MODE, "mode", "NAME", 0, "kind of perplexity: last_word (the default), tokens or text_mean")           \
    X(WINDOW, "window", "N", 0, "mode tokens: tokens scored together (default: the context, at most 4096)")  \
    X(STRIDE, "stride", "N", 0, "mode tokens: from one window's start to the next (default: half a window)") \
    X(TOKENIZER, "tokenizer", "NAME", 0,                                                                     \
      "agreed (the default): as transformers 4 and 5 both cut texts; file: as the model's file says")        \
    X(LIMIT, "limit", "N", 0, "only the first N documents of the texts")                                     \
    X(PRIORITY, "priority", "N", 0, "-100 to 100; while a higher one has work, lower wait")                  \
    X(KEY, "key", "TEXT", 0, "a name for this request: repeated with it, no second sweep starts")            \
    X(FIELDS, "fields", "A,B,...", 0, "columns, in this order")                                              \
    X(STEPLESS, "stepless", NULL, 0, "also main and other revisions without a step")                         \
    X(MODEL, "model", "MODEL", 0, "of this model only")                                                      \
    X(STATE, "state", "STATE", 0, "only those in this state, as the list shows it")                          \
    X(SCHEDULE, "schedule", "NAME", 0,                                                                       \
      "learning-rate schedule: constant, cosine, linear, cosine_neox, wsd, wsd_cosine, wsd_sqrt, "           \
      "wsd_exponential")                                                                                     \
    X(PEAK, "peak", "RATE", 0, "highest learning rate")                                                      \
    X(FLOOR, "floor", "RATE", 0, "lowest learning rate after the peak")                                      \
    X(WARMUP, "warmup", "STEP", 0, "linear warm-up until there")                                             \
    X(STABLE, "stable", "STEP", 0, "wsd and its kin: step at which the rate begins to fall")                 \
    X(TOTAL, "total", "STEP", 0, "step at which the schedule ends")                                          \
    X(STEPS, "steps", "N", 0, "of a run that counts tokens or the like: optimiser steps until --total")      \
    X(DECAY, "decay", "RATE", 0, "decoupled weight decay (AdamW)")                                           \
    X(VIEW, "view", "NAME", 0, "raw or centred: around column means (default: raw, unless said above)")      \
    X(PREFIX, "prefix", "TEXT", 0, "only models whose names begin with this")                                \
    X(UNIT, "unit", "NAME", 0,                                                                               \
      "of law (default: tokens) or axis: tokens, steps, words, epochs or checkpoints")                       \
    X(AT, "at", "HH:MM", 0, "every day at this time, local to the daemon")                                   \
    X(EVERY_MINUTES, "every-minutes", "N", 0, "every N minutes, the first time at once")                     \
    X(NOW, "now", NULL, 0, "look at once and show what is found")                                            \
    X(WEBHOOK, "webhook", "URL", 0, "address that is told of ended sweeps and new findings")                 \
    X(SECRET_FILE, "secret-file", "FILE", 0, "file with the key that signs what the webhook is sent")        \
    X(FILE, "file", "PATH", 0, "a text of your own, on the daemon's machine")                                \
    X(OUTPUT, "output", "FILE", 0, "write to this file; - is standard output")                               \
    X(ROWS, "rows", "NAME", 0, "all or tokens: without padded rows (default: all, unless said above)")       \
    X(AXIS, "axis", "NAME", 0, "of steps: log (the default) or linear")                                      \
    X(PANELS, "panels", "A,B,...", 0,                                                                        \
      "heat, displacement, bimodality (dip, ashman), valley, coefficient, perplexity")                       \
    X(WIDTH, "width", "PIXELS", 0, "of the figure, 360 to 4000 (default: 760)")                              \
    X(BINS, "bins", "N", 0, "of the distribution (default: 128; 48 in a table)")                             \
    X(ENTRIES, "entries", "N", 0, "sampled entries (default: 64; 6 in a table)")                             \
    X(DARK, "dark", NULL, 0, "light on dark")                                                                \
    X(SCOPES, "scopes", "A,B,...", 0, "of a token: read, sweep, worker, admin (default: read,sweep)")        \
    X(EXPIRES_DAYS, "expires-days", "N", 0, "of a token (default: it never expires)")                        \
    X(YES, "yes", NULL, 0, "do not ask")                                                                     \
    X(DRY_RUN, "dry-run", NULL, 0, "only print what would go")

enum client_option {
#define X(symbol, name, value, is_list, meaning) CLIENT_OPTION_##symbol,
    CLIENT_OPTIONS(X)
#undef X
        CLIENT_OPTION_COUNT
};

#define CLIENT_OPTION_BIT(symbol) (UINT64_C(1) << CLIENT_OPTION_##symbol)

/* The options of every command; --csv is of those that print a table (CLIENT_OPTION_BIT(CSV)). */
#define CLIENT_OPTIONS_COMMON                                                                                \
    (CLIENT_OPTION_BIT(SERVER) | CLIENT_OPTION_BIT(TOKEN_FILE) | CLIENT_OPTION_BIT(CA_FILE) |                \
     CLIENT_OPTION_BIT(JSON) | CLIENT_OPTION_BIT(HELP))

_Static_assert(CLIENT_OPTION_COUNT <= 64, "the options of a command are a set of 64 bits");

struct client_option_row {
    const char *name;
    const char *value; /* what its value is called; NULL: a switch */
    int is_list;
    const char *meaning;
};

extern const struct client_option_row client_options[CLIENT_OPTION_COUNT];

#define CLIENT_STEPS_MAX 5 /* options that are steps */

struct client_arguments {
    const struct client_command *command; /* NULL: only help was asked for */
    const char *words[CLIENT_WORDS_MAX];
    size_t word_count;
    const char *values[CLIENT_OPTION_COUNT]; /* "" for a switch; NULL: not given */
    /* all values of options that may be repeated, in order */
    struct {
        enum client_option option;
        const char *value;
    } list[CLIENT_LIST_MAX];
    size_t list_count;
    char steps[CLIENT_STEPS_MAX][24]; /* those with a letter, in digits */
};

struct client_command {
    const char *name;
    const char *words; /* "MODEL REVISION"; "MODEL..." for one or more; "[ID...]" for any; "" for none */
    const char *summary;
    const char *details; /* more lines for its help, or "" */
    uint64_t options;    /* bit set of enum client_option, besides those that all have */
    int (*run)(const struct client_arguments *arguments);
};

extern const struct client_command client_commands[];
extern const size_t client_command_count;

/* The command of this name, or NULL. */
const struct client_command *client_command_find(const char *name);

/* The option that "--name", "--name=value", "-n" or "-nvalue" means, or CLIENT_OPTION_COUNT; *ret_value is
 * what is attached to it, or NULL. */
int client_option_find(const char *word, const char **ret_value);

/* Parses; ERR_INVALID with a sentence. The values point into argv, but steps such as "2.5T", which become
 * their digits within *arguments: it must not move. */
int client_arguments_parse(int argc, char **argv, struct client_arguments *arguments, struct err *err);

/* Prints the help of one command, or of the program for NULL. */
void client_arguments_help(const struct client_command *command, FILE *stream);

#endif
