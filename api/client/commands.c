#include "api/client/commands.h"

#include "api/client/completion.h"
#include "api/client/plain.h"
#include "api/client/terminal.h"
#include "daemon/base/json_text.h"
#include "daemon/base/standard_files.h"

#include <curl/curl.h>
#include <locale.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#define BIT(symbol) CLIENT_OPTION_BIT(symbol)

const struct client_command client_commands[] = {
    {"sweep", "MODEL...", "Measure the revisions of models, a sweep for each",
     "Starts the sweeps and prints their numbers; with --follow, stays until all have ended.\n"
     "Interrupting does not end a sweep: `bifurcate follow` shows running ones again,\n"
     "`bifurcate cancel ID` ends one. What was measured before is not measured again: the same\n"
     "command resumes after a failure, and another --metric adds to what is there.",
     BIT(FOLLOW) | BIT(FROM) | BIT(TO) | BIT(EVERY) | BIT(REVISION) | BIT(RULE) | BIT(TENSOR) | BIT(METRIC) |
         BIT(REFERENCE) | BIT(DATASET) | BIT(FIELD) | BIT(MODE) | BIT(WINDOW) | BIT(STRIDE) | BIT(TOKENIZER) |
         BIT(LIMIT) | BIT(PRIORITY) | BIT(KEY),
     client_run_sweep},
    {"perplexity", "MODEL", "Score one revision (default: main) and print the numbers",
     "Without --file or --dataset it takes the last words of LAMBADA. A file of your own is one\n"
     "text, or one text per line if its name ends in .jsonl. In the series these numbers take the\n"
     "place of what other texts gave, until a sweep asks for those again: they are kept.",
     BIT(REVISION) | BIT(FILE) | BIT(DATASET) | BIT(FIELD) | BIT(MODE) | BIT(WINDOW) | BIT(STRIDE) |
         BIT(TOKENIZER) | BIT(LIMIT),
     client_run_perplexity},
    {"series", "[MODEL...]", "Print what is measured, a row per revision in step order",
     "The table shows a choice of columns; --csv and --json give all, with every digit. Several models,\n"
     "or with --prefix all whose names begin so, are one table whose first column says which it is;\n"
     "--json has them in `series`, a list.",
     BIT(CSV) | BIT(FIELDS) | BIT(FROM) | BIT(TO) | BIT(TENSOR) | BIT(STEPLESS) | BIT(PREFIX),
     client_run_series},
    {"revision", "MODEL REVISION", "Print everything known of one revision", "", BIT(TENSOR) | BIT(FIELDS),
     client_run_revision},
    {"analyze", "MODEL", "Say what the run shows, what that rests on, and what else could explain it",
     "The learning-rate schedule is built in for Pythia, SmolLM3, Apertus 8B, Amber and K2; for others name\n"
     "it with --schedule, --peak, --floor, --warmup, --stable, --total and --decay. Where the names of\n"
     "revisions count tokens, words, epochs or checkpoints, so do --warmup, --stable and --total, and\n"
     "--steps says how many optimiser steps there are until --total. --csv has what the verdicts\n"
     "rest on, a line for each revision.",
     BIT(CSV) | BIT(TENSOR) | BIT(SCHEDULE) | BIT(PEAK) | BIT(FLOOR) | BIT(WARMUP) | BIT(STABLE) |
         BIT(TOTAL) | BIT(STEPS) | BIT(DECAY),
     client_run_analyze},
    {"audit", "MODEL", "List revisions that cannot be what their names say",
     "It compares the digests of the weight files, which needs no download, and what was measured.",
     BIT(CSV) | BIT(TENSOR), client_run_audit},
    {"scaling", "", "Print the onset against model size over all models",
     "Two laws, both of token rows: around column means, which counts where the two differ, and\n"
     "as stored. --view chooses one; --csv and --json have the first. A law is over tokens of\n"
     "training unless --unit names another unit; models that are not known in it are named.",
     BIT(CSV) | BIT(VIEW) | BIT(UNIT) | BIT(PREFIX) | BIT(TENSOR), client_run_scaling},
    {"distribution", "MODEL", "Print how many values lie in each bin, a line per revision",
     "In a table the height of a block grows with the square root of the count.",
     BIT(CSV) | BIT(BINS) | BIT(VIEW) | BIT(ROWS) | BIT(TENSOR), client_run_distribution},
    {"values", "MODEL REVISION", "Print the exact distribution of one revision",
     "Each distinct value of the tensor, and how many entries have it; NaN and infinities are left\n"
     "out, --json counts them. Every other statistic follows from these.",
     BIT(CSV) | BIT(VIEW) | BIT(ROWS) | BIT(TENSOR), client_run_values},
    {"columns", "MODEL", "Print mean and bimodality of each hidden column over training",
     "The table shows the lowest, the middle and the highest of all columns, and how many have a\n"
     "bimodality coefficient above 5/9; --csv has a line for each column of each revision.",
     BIT(CSV) | BIT(ROWS) | BIT(TENSOR), client_run_columns},
    {"trajectories", "MODEL", "Print sampled entries of the tensor over training", "",
     BIT(CSV) | BIT(ENTRIES) | BIT(TENSOR), client_run_trajectories},
    {"displacement", "MODEL", "Print how far apart any two revisions are, estimated from sampled entries", "",
     BIT(CSV) | BIT(FROM) | BIT(TO) | BIT(LIMIT) | BIT(TENSOR), client_run_displacement},
    {"plot", "[MODEL...]", "Draw the picture of the forking as SVG",
     "The distribution over training as a map; below it, on the same axis of steps, what\n"
     "--panels names (default: displacement, bimodality and perplexity as far as measured),\n"
     "with the onset, the fall of perplexity and the step at which it could have stopped.\n"
     "What is drawn is what the verdict is of: token rows around column means, or as stored\n"
     "where only so they fork; --rows and --view draw others.\n"
     "Of several models, or with --prefix of all whose names begin so, each panel has a line for\n"
     "each, and there is no map; over steps if the names of all count these, else over tokens\n"
     "(--unit).\n"
     "`plot scaling` instead of a model: onset against model size over all models (--prefix:\n"
     "of some), as stored and around column means (--view: one of them), of token rows.",
     BIT(OUTPUT) | BIT(PREFIX) | BIT(UNIT) | BIT(VIEW) | BIT(ROWS) | BIT(AXIS) | BIT(PANELS) | BIT(FROM) |
         BIT(TO) | BIT(TENSOR) | BIT(WIDTH) | BIT(DARK),
     client_run_plot},
    {"models", "", "List the models that the daemon knows", "", BIT(CSV) | BIT(FIELDS), client_run_models},
    {"tensors", "MODEL", "List the tensors that are measured of a model, and of how many revisions",
     "These are the names that --tensor takes in commands that read results.", BIT(CSV), client_run_tensors},
    {"remove", "MODEL", "Delete a model and all that was measured of it, for everybody",
     "Prints what will go and asks first; without a terminal to ask on, --yes is needed. Results for\n"
     "content that another model has, too, stay, and so do files in the hub cache. A sweep of the\n"
     "model that has not ended must be cancelled first. It needs a token of scope admin wherever\n"
     "writing needs one.",
     BIT(YES) | BIT(DRY_RUN), client_run_remove},
    {"sweeps", "", "List sweeps, newest first", "", BIT(CSV) | BIT(FIELDS) | BIT(MODEL) | BIT(STATE),
     client_run_sweeps},
    {"show", "ID", "Print a sweep: its progress, what it was asked for, its errors and its jobs", "", 0,
     client_run_show},
    {"follow", "[ID...]", "Show the progress of sweeps until they have ended",
     "Of several sweeps it shows the total, and at the end the outcome of each. Without ID it follows\n"
     "all that are being planned or running; --json then prints a list, however many there are.",
     0, client_run_follow},
    {"tasks", "ID", "List the revisions of a sweep and the state of each", "",
     BIT(CSV) | BIT(FIELDS) | BIT(STATE), client_run_tasks},
    {"history", "ID TASK", "Print what happened to a task of a sweep", "", BIT(CSV) | BIT(FIELDS),
     client_run_history},
    {"cancel", "ID...", "End sweeps; what they have measured stays",
     "`bifurcate cancel all` ends every sweep that is being planned or running, whoever started it.", 0,
     client_run_cancel},
    {"watch", "MODEL", "Sweep the new and moved revisions of a model regularly",
     "With --at or --every-minutes the model is watched from now on; the other options say what\n"
     "its sweeps ask for. --now alone looks once, at once, and waits until that look has ended,\n"
     "however long it takes; without options, the watch is shown: when it looks next, what it\n"
     "found, what its webhook was sent. In a folder, a checkpoint counts once it is completely\n"
     "written.",
     BIT(AT) | BIT(EVERY_MINUTES) | BIT(NOW) | BIT(WEBHOOK) | BIT(SECRET_FILE) | BIT(FROM) | BIT(TO) |
         BIT(REVISION) | BIT(RULE) | BIT(TENSOR) | BIT(METRIC) | BIT(REFERENCE) | BIT(DATASET) | BIT(FIELD) |
         BIT(MODE) | BIT(LIMIT) | BIT(WINDOW) | BIT(STRIDE) | BIT(TOKENIZER) | BIT(PRIORITY),
     client_run_watch},
    {"unwatch", "MODEL", "Stop watching a model; running sweeps go on", "", 0, client_run_unwatch},
    {"watches", "", "List watched models", "", BIT(CSV) | BIT(FIELDS), client_run_watches},
    {"deliveries", "MODEL", "List what the webhook of a watch was sent, and what is still to be sent", "",
     BIT(CSV) | BIT(FIELDS), client_run_deliveries},
    {"status", "", "Print the state of the daemon", "", 0, client_run_status},
    {"workers", "", "List workers, local and remote, and what they work on", "", BIT(CSV) | BIT(FIELDS),
     client_run_workers},
    {"jobs", "", "List job arrays of workers on the cluster, of all sweeps, newest first", "",
     BIT(CSV) | BIT(FIELDS) | BIT(STATE), client_run_jobs},
    {"devices", "", "List compute devices, and why one is absent", "", BIT(CSV) | BIT(FIELDS),
     client_run_devices},
    {"tokens", "", "List tokens: whose they are, what they allow, when they were last used", "",
     BIT(CSV) | BIT(FIELDS), client_run_tokens},
    {"issue", "NAME", "Make a token and print it, this once",
     "NAME says whose it is. Without --scopes it reads and starts sweeps (read,sweep). You need a\n"
     "token of scope admin yourself: the first one comes from `bifurcated token create`, on the\n"
     "daemon's machine.",
     BIT(SCOPES) | BIT(EXPIRES_DAYS), client_run_issue},
    {"revoke", "TOKEN", "End a token; TOKEN is its number in `bifurcate tokens`", "", 0, client_run_revoke},
};
const size_t client_command_count = sizeof client_commands / sizeof client_commands[0];

/* What helps whoever named something that is not known. */
static const char *const absent_advice[] = {
    [ERR_ABSENT_OTHER] = NULL,
    [ERR_ABSENT_MODEL] = ("`bifurcate models` lists the models that are known, `bifurcate sweep MODEL` "
                          "measures another one."),
    [ERR_ABSENT_REVISION] = "`bifurcate series MODEL --stepless` lists the revisions that are known.",
    [ERR_ABSENT_SWEEP] = "`bifurcate sweeps` lists them.",
    [ERR_ABSENT_TASK] = "`bifurcate tasks ID` lists the tasks of a sweep, with their numbers.",
    [ERR_ABSENT_WATCH] = "`bifurcate watch MODEL --at 02:30` makes one, `bifurcate watches` lists all.",
    [ERR_ABSENT_TOKEN] = "`bifurcate tokens` lists them.",
};

int client_report(const struct err *err)
{
    const int is_interrupted = err->code == ERR_CANCELLED && client_link_is_interrupted;
    if (is_interrupted && strcmp(err->message, "interrupted") == 0)
        return CLIENT_EXIT_INTERRUPTED; /* whoever did it knows */
    char message[ERR_MESSAGE_BYTES];
    (void)snprintf(message, sizeof message, "%s", err->message); /* often the daemon's own words */
    client_plain_text(message);
    (void)fprintf(stderr, "bifurcate: %s\n", message);
    switch (err->code) {
    case ERR_NETWORK:
        if (strncmp(err->message, "no daemon answers at ", 21) ==
            0) /* and not untrusted or of another scheme */
            (void)fputs("Start the daemon with `bifurcated`, or name another one with --server URL or the "
                        "variable BIFURCATE_SERVER.\n",
                        stderr);
        return CLIENT_EXIT_UNREACHABLE;
    case ERR_UNAUTHORIZED:
        (void)fputs("Name a file with a token with --token-file, or set BIFURCATE_TOKEN; `bifurcated token "
                    "create`, on "
                    "the daemon's machine, makes one.\n",
                    stderr);
        return CLIENT_EXIT_ERROR;
    case ERR_INVALID:
        return CLIENT_EXIT_USAGE;
    case ERR_NOT_FOUND:
        if (absent_advice[err->absent])
            (void)fprintf(stderr, "%s\n", absent_advice[err->absent]);
        return CLIENT_EXIT_NOT_FOUND;
    default:
        return is_interrupted ? CLIENT_EXIT_INTERRUPTED : CLIENT_EXIT_ERROR;
    }
}

void client_print_json(const json_t *document)
{
    client_plain_print_json(document, stdout);
}

int client_print_list(const struct client_arguments *arguments, const json_t *document, const char *key,
                      const struct client_column *columns, size_t column_count, const char *hint)
{
    struct err err = ERR_INIT;
    const json_t *array = json_object_get(document, key);
    if (arguments->values[CLIENT_OPTION_JSON]) {
        client_print_json(document);
    } else if (arguments->values[CLIENT_OPTION_CSV]) {
        client_table_print_csv(array, columns, column_count, stdout);
    } else if (client_table_print(array, columns, column_count, stdout, &err)) {
        return client_report(&err);
    } else if (hint && json_array_size(array) == 0 && isatty(STDOUT_FILENO)) {
        (void)fprintf(stderr, "%s\n", hint);
    }
    return CLIENT_EXIT_DONE;
}

static void on_signal(int number)
{
    (void)number;
    client_link_is_interrupted = 1;
}

static int run(int argc, char **argv)
{
    struct client_arguments arguments;
    struct err err = ERR_INIT;
    struct sigaction action = {.sa_handler = on_signal};
    if (argc == 2 && (strcmp(argv[1], "--version") == 0 || strcmp(argv[1], "-V") == 0)) {
        (void)puts("bifurcate " BIFURCATED_VERSION);
        return CLIENT_EXIT_DONE;
    }
    if (argc > 1 && strcmp(argv[1], "--complete") == 0) {
        client_complete(argc - 2, argv + 2, stdout);
        return CLIENT_EXIT_DONE;
    }
    (void)setlocale(LC_CTYPE, "");
    if (!client_terminal_shows_utf8(stdout))
        client_plain_keep_ascii();
    if (client_arguments_parse(argc, argv, &arguments, &err)) {
        (void)fprintf(stderr, "bifurcate: %s\n", err.message);
        (void)fprintf(stderr, "Try `bifurcate %s%s--help`.\n",
                      arguments.command ? arguments.command->name : "", arguments.command ? " " : "");
        return CLIENT_EXIT_USAGE;
    }
    if (arguments.values[CLIENT_OPTION_HELP]) {
        client_arguments_help(arguments.command, stdout);
        return CLIENT_EXIT_DONE;
    }
    (void)sigaction(SIGINT, &action, NULL);
    (void)sigaction(SIGTERM, &action, NULL);
    (void)curl_global_init(CURL_GLOBAL_DEFAULT);
    int status = arguments.command->run(&arguments);
    curl_global_cleanup();
    return status;
}

int client_main(int argc, char **argv)
{
    int status = run(argc, argv);
    if (standard_files_lost_output() && status == CLIENT_EXIT_DONE) {
        (void)fputs("bifurcate: writing the output failed\n", stderr);
        status = CLIENT_EXIT_ERROR;
    }
    if (json_text_refusals() && status == CLIENT_EXIT_DONE) {
        (void)fputs("bifurcate: out of memory: the output may lack something\n", stderr);
        status = CLIENT_EXIT_ERROR;
    }
    return status;
}
