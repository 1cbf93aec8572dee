/*
 * `bifurcated token create|list|revoke`: who may do what over the API.
 *
 * Works on the state folder, whether or not a daemon runs on it: that one notices within a second. What a
 * program may want goes to standard output (the token alone, the list), what is for people to standard error.
 */
#include "daemon/base/clock.h"
#include "daemon/base/file.h"
#include "daemon/base/guess.h"
#include "daemon/base/json_text.h"
#include "daemon/base/limits.h"
#include "daemon/command/commands.h"
#include "store/store.h"
#include "store/tokens.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define DAY_MS INT64_C(86400000)
#define BUSY_WAIT_MS 10000
#define BUSY_POLL_MS 50

const char command_token_usage[] =
    "Usage: bifurcated token create --name NAME [--scopes SCOPES]\n"
    "                               [--expires-days N]\n"
    "       bifurcated token list [--json]\n"
    "       bifurcated token revoke ID|NAME\n"
    "\n"
    "Tokens say who may do what over the API. SCOPES are one or more of\n"
    "these, joined by commas (read,sweep without --scopes):\n"
    "  read    look, where the option read-access = token asks for it\n"
    "  sweep   start and cancel sweeps, keep watches\n"
    "  worker  claim tasks and hand in what was measured\n"
    "  admin   everything, also remove models, and make and revoke tokens over the API\n"
    "\n"
    "A token is printed once, when it is made; only a digest of it is kept.\n"
    "Clients send it as \"Authorization: Bearer TOKEN\"; bifurcate takes it\n"
    "from --token-file or BIFURCATE_TOKEN. A running daemon notices within a\n"
    "second. --state and --config choose the daemon, as for the daemon itself.\n";

/* The store, also of a daemon that is running. Waits for who makes, restores or upgrades the database. */
static int open_store(const struct options *options, struct store **ret_store, struct err *err)
{
    char *path = NULL;
    int64_t end_ms = clock_monotonic_ms() + BUSY_WAIT_MS;
    int code = commands_find_database(options, 1, &path, err);
    if (!code)
        code = file_make_folders(options->state, 0700, err);
    while (!code) {
        *err = (struct err)ERR_INIT;
        code = store_open(path, ret_store, err);
        if (code == ERR_CONFLICT)
            code = store_open_shared(path, ret_store, err);
        if (code != ERR_CONFLICT || clock_monotonic_ms() >= end_ms)
            break;
        clock_sleep_ms(BUSY_POLL_MS);
        code = 0;
    }
    free(path);
    return code;
}

/* What the command line says beside the daemon's options. */
struct words {
    const char *action;
    const char *which; /* of revoke */
    const char *name, *scopes, *expires_days;
    int is_json;
};

static int read_request(const struct words *words, struct token_request *request, struct err *err)
{
    *request = (struct token_request){.name = words->name, .scopes = TOKEN_SCOPE_READ | TOKEN_SCOPE_SWEEP};
    if (!words->name)
        return err_set(err, ERR_INVALID, "--name is missing: it says whose token this is");
    if (words->scopes && !(request->scopes = token_scopes_parse(words->scopes)))
        return err_set(err, ERR_INVALID, "--scopes: \"%.60s\" is not a list of read, sweep, worker and admin",
                       words->scopes);
    if (words->expires_days) {
        char *rest = NULL;
        long count = strtol(words->expires_days, &rest, 10);
        if (rest == words->expires_days || *rest || count < 1 || count > TOKEN_EXPIRES_DAYS_MAX)
            return err_set(err, ERR_INVALID, "--expires-days: \"%.20s\" is not a number from 1 to %d",
                           words->expires_days, TOKEN_EXPIRES_DAYS_MAX);
        request->expires_ms = clock_wall_ms() + count * DAY_MS;
    }
    return 0;
}

static int create(struct store *store, const char *state, const struct words *words, struct err *err)
{
    char text[TOKEN_TEXT_SIZE], scopes[TOKEN_SCOPES_SIZE], end[CLOCK_TEXT_SIZE] = "never";
    struct token_request request;
    struct token_row made;
    int code = read_request(words, &request, err);
    if (!code)
        code = tokens_create(store, &request, text, &made, err);
    if (code)
        return code;
    token_scopes_format(request.scopes, scopes);
    if (request.expires_ms)
        clock_format(request.expires_ms, end, sizeof end);
    (void)fprintf(
        stderr, "Token %" PRId64 " (%s) for the daemon of %s: scopes %s, expires %s. It is shown only now:\n",
        made.id, made.name, state, scopes, end);
    int failed = puts(text) < 0 || fflush(stdout) != 0;
    explicit_bzero(text, sizeof text);
    if (failed)
        return err_set(err, ERR_IO,
                       "it could not be written to standard output and is lost: revoke token %" PRId64
                       " and make another one",
                       made.id);
    return 0;
}

static const char *state_of(const struct token_row *row)
{
    if (row->revoked_ms)
        return "revoked";
    return row->expires_ms && row->expires_ms <= clock_wall_ms() ? "expired" : "active";
}

struct listing {
    int64_t last;
    int count;
    json_t *array; /* NULL: print lines */
};

static json_t *json_time(int64_t wall_ms)
{
    char text[CLOCK_TEXT_SIZE];
    if (!wall_ms)
        return json_null();
    clock_format(wall_ms, text, sizeof text);
    return json_string(text);
}

static const char *day_of(int64_t wall_ms, char *text, size_t size)
{
    if (!wall_ms)
        return "never";
    clock_format(wall_ms, text, size);
    text[10] = 0; /* the date alone */
    return text;
}

static int print_row(void *context, const struct token_row *row)
{
    struct listing *listing = context;
    char scopes[TOKEN_SCOPES_SIZE], times[3][CLOCK_TEXT_SIZE];
    listing->last = row->id;
    listing->count++;
    token_scopes_format(row->scopes, scopes);
    if (listing->array)
        return json_array_append_new(
            listing->array,
            json_pack("{s:I, s:s, s:s, s:s, s:o, s:o, s:o, s:o}", "id", (json_int_t)row->id, "name",
                      row->name, "scopes", scopes, "state", state_of(row), "created_at",
                      json_time(row->created_ms), "expires_at", json_time(row->expires_ms), "last_used_at",
                      json_time(row->last_used_ms), "revoked_at", json_time(row->revoked_ms)));
    (void)printf("%-4" PRId64 "  %-20s  %-23s  %-8s  %-10s  %-10s  %s\n", row->id, row->name, scopes,
                 state_of(row), day_of(row->created_ms, times[0], sizeof times[0]),
                 day_of(row->expires_ms, times[1], sizeof times[1]),
                 day_of(row->last_used_ms, times[2], sizeof times[2]));
    return 0;
}

static int list(struct store *store, int is_json, struct err *err)
{
    const unsigned long refusals = json_text_refusals();
    struct listing listing = {.array = is_json ? json_array() : NULL};
    int code = is_json && !listing.array ? err_set(err, ERR_NO_MEMORY, "token list: out of memory") : 0;
    if (!is_json)
        (void)printf("%-4s  %-20s  %-23s  %-8s  %-10s  %-10s  %s\n", "id", "name", "scopes", "state",
                     "created", "expires", "last used");
    while (!code) {
        listing.count = 0;
        code = tokens_list(store, listing.last, 1000, print_row, &listing, err);
        if (listing.count < 1000)
            break;
    }
    if (!code && !is_json && !listing.last && isatty(STDOUT_FILENO))
        (void)fputs("no token was made; `bifurcated token create --name WHO` makes one\n", stderr);
    char *text = is_json && !code ? json_text_dump(listing.array, JSON_INDENT(2)) : NULL;
    if (json_text_refusals() != refusals) /* a token that is not shown may be one that nobody revokes */
        code = err_set(err, ERR_NO_MEMORY, "token list: out of memory");
    else if (text)
        (void)puts(text);
    free(text);
    json_decref(listing.array);
    return code;
}

static int revoke_one(struct store *store, const char *name, struct err *err)
{
    struct token_row row;
    if (!name)
        return err_set(err, ERR_INVALID, "which token? Name it or give its number: bifurcated token list");
    int code = tokens_find(store, name, &row, err);
    if (!code)
        code = tokens_revoke(store, row.id, NULL, err);
    if (!code)
        (void)fprintf(stderr, "Token %" PRId64 " (%s) is revoked.\n", row.id, row.name);
    return code;
}

static int run(const struct options *options, const struct words *words, struct err *err)
{
    struct store *store = NULL;
    int code = open_store(options, &store, err);
    if (code)
        return code;
    if (strcmp(words->action, "create") == 0)
        code = create(store, options->state, words, err);
    else if (strcmp(words->action, "list") == 0)
        code = list(store, words->is_json, err);
    else
        code = revoke_one(store, words->which, err);
    store_close(store);
    return code;
}

static const char *const actions[] = {"create", "list", "revoke"};
static const char *const own_options[] = {"name", "scopes", "expires-days", "json", NULL};

/* Options that belong to another action stay where they are and are then refused as unknown. */
static void take_words(int *argc, char **argv, struct words *words)
{
    words->action = commands_take_word(argc, argv);
    if (!words->action)
        return;
    if (strcmp(words->action, "create") == 0) {
        words->name = commands_take_option(argc, argv, "name");
        words->scopes = commands_take_option(argc, argv, "scopes");
        words->expires_days = commands_take_option(argc, argv, "expires-days");
    } else if (strcmp(words->action, "list") == 0) {
        words->is_json = commands_take_flag(argc, argv, "json");
    } else if (strcmp(words->action, "revoke") == 0) {
        words->which = commands_take_word(argc, argv);
    } else {
        struct guess guess;
        char question[GUESS_QUESTION_SIZE];
        guess_init(&guess, words->action);
        for (size_t i = 0; i < sizeof actions / sizeof actions[0]; i++)
            guess_offer(&guess, actions[i]);
        (void)fprintf(stderr, "bifurcated: token: there is no action \"%.60s\"%s\n\n", words->action,
                      guess_ask(&guess, "", question));
        words->action = NULL;
    }
}

int command_token(int argc, char **argv)
{
    struct options options = {0};
    struct words words = {0};
    struct err err = ERR_INIT;
    int status = 0;
    take_words(&argc, argv, &words);
    if (!words.action) {
        (void)fputs(command_token_usage, stderr);
        return COMMANDS_STATUS_USAGE;
    }
    if ((status = commands_refuse_options(argc, argv, own_options)))
        return status;
    if (!commands_load_options(argc, argv, &options, &status) && run(&options, &words, &err)) {
        (void)fprintf(stderr, "bifurcated: token %s: %s\n", words.action, err.message);
        status = err.code == ERR_INVALID ? COMMANDS_STATUS_USAGE : COMMANDS_STATUS_FAILED;
    }
    options_free(&options);
    return status;
}
