/* What a command says that found nothing of its model: that the daemon does not know it, what failed when it
 * was asked for, and which one may be meant; or that found less, since what is stored is damaged. */
#include "api/client/commands.h"

#include "api/client/model_name.h"
#include "api/client/pages.h"
#include "api/client/plain.h"
#include "daemon/base/guess.h"
#include "daemon/base/limits.h"

#include <inttypes.h>
#include <string.h>

#define DAMAGED_NAMES_MAX 5
#define DAMAGED_NAME_SIZE 80

/* The models' names must outlive the question, so it is asked here. */
static void ask_models(struct client_link *link, const char *name, char question[GUESS_QUESTION_SIZE])
{
    struct err ignored = ERR_INIT;
    struct guess guess;
    json_t *document = NULL;
    const json_t *row;
    size_t i;
    guess_init(&guess, name);
    if (client_link_get(link, "/v1/models?limit=10000&fields=name", &document, &ignored) == 0) {
        json_array_foreach(json_object_get(document, "models"), i, row)
        {
            const char *known = json_string_value(json_object_get(row, "name"));
            if (known)
                guess_offer(&guess, known);
        }
    }
    (void)guess_ask(&guess, "", question);
    json_decref(document);
}

/* The revisions of the model that the daemon knows, those without a step too; NULL: that cannot be learned.
 * The caller releases it. */
static json_t *get_revisions(struct client_link *link, const char *model)
{
    struct err ignored = ERR_INIT;
    struct buf target;
    json_t *document = NULL;
    buf_init(&target, 2 * LIMIT_URL_BYTES);
    int code = client_model_target(&target, model, &ignored);
    buf_append_text(&target, "/revisions?limit=10000&stepless=true&fields=revision");
    if (!code && !target.failed)
        (void)pages_get(link, buf_text(&target), "revisions", &document, &ignored);
    buf_free(&target);
    return document;
}

/* What a name is meant for that is none of these; "" if it is one, or near to none. */
static const char *ask_revision(const json_t *document, const char *name, char question[GUESS_QUESTION_SIZE])
{
    struct guess guess;
    const json_t *row;
    size_t i;
    question[0] = '\0';
    guess_init(&guess, name);
    json_array_foreach(json_object_get(document, "revisions"), i, row)
    {
        const char *known = json_string_value(json_object_get(row, "revision"));
        if (known && strcmp(known, name) == 0)
            return question;
        if (known)
            guess_offer(&guess, known);
    }
    return guess_ask(&guess, "", question);
}

int client_check_revision(struct client_link *link, const char *model, const char *revision, int code,
                          struct err *err)
{
    char question[GUESS_QUESTION_SIZE], message[ERR_MESSAGE_BYTES];
    if (client_link_is_interrupted || code != ERR_NOT_FOUND || err->absent != ERR_ABSENT_REVISION)
        return code;
    json_t *document = get_revisions(link, model);
    (void)snprintf(message, sizeof message, "%s", err->message);
    code =
        err_set_absent(err, ERR_ABSENT_REVISION, "%s%s", message, ask_revision(document, revision, question));
    json_decref(document);
    return code;
}

void client_note_revisions(struct client_link *link, const struct client_arguments *arguments,
                           const char *model)
{
    json_t *document = arguments->values[CLIENT_OPTION_REVISION] ? get_revisions(link, model) : NULL;
    for (size_t i = 0; i < arguments->list_count && document; i++) {
        char question[GUESS_QUESTION_SIZE];
        const char *name = arguments->list[i].value;
        if (arguments->list[i].option == CLIENT_OPTION_REVISION && ask_revision(document, name, question)[0])
            (void)fprintf(stderr, "%s of %s is not known so far, and is asked for%s\n", name, model,
                          question);
    }
    json_decref(document);
}

/* The newest sweep of the model, or NULL; the caller releases it. */
static json_t *find_sweep(struct client_link *link, const char *name)
{
    struct err ignored = ERR_INIT;
    struct buf target;
    json_t *document = NULL;
    buf_init(&target, 2 * LIMIT_URL_BYTES);
    buf_append_text(&target, "/v1/sweeps?limit=1");
    client_link_append(&target, "model", name);
    if (!target.failed)
        (void)client_link_get(link, buf_text(&target), &document, &ignored);
    json_t *sweep = json_incref(json_array_get(json_object_get(document, "sweeps"), 0));
    json_decref(document);
    buf_free(&target);
    return sweep;
}

/* How many revisions are known, those without a step too; -1: that cannot be learned. */
static int64_t count_revisions(struct client_link *link, const char *model)
{
    struct err ignored = ERR_INIT;
    struct buf target;
    json_t *document = NULL;
    buf_init(&target, 2 * LIMIT_URL_BYTES);
    int code = client_model_target(&target, model, &ignored);
    buf_append_text(&target, "/revisions?limit=1&stepless=true&fields=revision");
    if (!code && !target.failed)
        (void)client_link_get(link, buf_text(&target), &document, &ignored);
    const json_t *total = json_object_get(document, "total");
    int64_t count = json_is_integer(total) ? json_integer_value(total) : -1;
    json_decref(document);
    buf_free(&target);
    return count;
}

/* A name of which no revision is known: an error if the newest sweep of it failed, else `code`. */
static int explain(struct client_link *link, const char *name, int code, struct err *err)
{
    json_t *sweep = find_sweep(link, name);
    const char *state = json_string_value(json_object_get(sweep, "state"));
    const char *reason = json_string_value(json_object_get(json_object_get(sweep, "error"), "message"));
    char question[GUESS_QUESTION_SIZE];
    if (state && strcmp(state, "failed") == 0) {
        ask_models(link, name, question);
        code = err_set_absent(err, ERR_ABSENT_MODEL,
                              "model %.150s is not known: sweep %" PRId64 " of it failed: %.200s%s", name,
                              (int64_t)json_integer_value(json_object_get(sweep, "id")),
                              reason ? reason : "for no reason", question);
    }
    json_decref(sweep);
    return code;
}

int client_check_model(struct client_link *link, const char *model, int code, int is_empty, struct err *err)
{
    struct err ignored = ERR_INIT;
    struct buf name;
    if (client_link_is_interrupted || (code ? code != ERR_NOT_FOUND : !is_empty))
        return code;
    buf_init(&name, LIMIT_MODEL_NAME_BYTES);
    if (client_model_name(model, &name, &ignored)) {
        buf_free(&name);
        return code;
    }
    if (!code || err->absent == ERR_ABSENT_REVISION) {
        code = count_revisions(link, model) == 0 ? explain(link, buf_text(&name), code, err) : code;
    } else if (err->absent == ERR_ABSENT_MODEL) {
        char question[GUESS_QUESTION_SIZE], message[ERR_MESSAGE_BYTES];
        client_model_note_folder(model);
        ask_models(link, buf_text(&name), question);
        (void)snprintf(message, sizeof message, "%s", err->message);
        code = err_set_absent(err, ERR_ABSENT_MODEL, "%s%s", message, question);
    }
    buf_free(&name);
    return code;
}

size_t client_note_damaged(const json_t *document)
{
    const json_t *names = json_object_get(document, "damaged"), *name;
    const size_t count = json_array_size(names);
    size_t i;
    if (!count)
        return 0;
    (void)fprintf(stderr, "left out, since what is stored of %s is damaged:",
                  count == 1 ? "this revision" : "these revisions");
    json_array_foreach(names, i, name)
    {
        char text[DAMAGED_NAME_SIZE];
        if (i == DAMAGED_NAMES_MAX)
            break;
        client_plain_copy(name, "", text, sizeof text);
        (void)fprintf(stderr, "%s %s", i ? "," : "", text);
    }
    if (count > DAMAGED_NAMES_MAX)
        (void)fprintf(stderr, " and %zu more", count - DAMAGED_NAMES_MAX);
    (void)fputs(
        "; while the daemon is stopped, `bifurcated prune` deletes that, and the next sweep of the model "
        "measures it again\n",
        stderr);
    return count;
}

void client_note_absence(struct client_link *link, const char *model)
{
    char question[GUESS_QUESTION_SIZE];
    struct err ignored = ERR_INIT;
    struct buf name;
    buf_init(&name, LIMIT_MODEL_NAME_BYTES);
    if (client_model_name(model, &name, &ignored) == 0 && count_revisions(link, model) <= 0) {
        ask_models(link, buf_text(&name), question);
        (void)fprintf(stderr, "no revision of %s is known yet: the next run looks for them%s\n",
                      buf_text(&name), question);
    }
    buf_free(&name);
}
