#include "api/client/sweep_outcome.h"

#include "api/client/plain.h"
#include "api/client/progress.h"
#include "api/client/table.h"
#include "daemon/base/err.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define SENTENCE_SIZE 1024
#define ERRORS_MAX 100 /* lines of a sweep; a daemon sends fewer */

/* "  step512: the file is cut short"; with --json the document is not plain, and this goes to a terminal. */
static void print_error(const json_t *name, const json_t *message)
{
    char left[CLIENT_CELL_SIZE], right[ERR_MESSAGE_BYTES];
    client_plain_copy(name, "-", left, sizeof left);
    client_plain_copy(message, "-", right, sizeof right);
    (void)fprintf(stderr, "  %s: %s\n", left, right);
}

size_t client_print_alike(const json_t *rows, const char *key, size_t lines_max)
{
    json_t *groups = json_object(); /* message -> the first one that it is said of, and how many */
    const char *message;
    json_t *row, *group;
    size_t i, lines = 0, left = 0;
    json_array_foreach(rows, i, row)
    {
        const char *text = json_string_value(json_object_get(row, key));
        if (!text)
            continue;
        if ((group = json_object_get(groups, text)))
            (void)json_integer_set(json_array_get(group, 1),
                                   json_integer_value(json_array_get(group, 1)) + 1);
        else
            (void)json_object_set_new(groups, text,
                                      json_pack("[O, I]", json_object_get(row, "revision"), (json_int_t)1));
    }
    json_object_foreach(groups, message, group)
    {
        char name[CLIENT_CELL_SIZE], others[32] = "";
        json_int_t count = json_integer_value(json_array_get(group, 1));
        if (lines++ >= lines_max) {
            left += (size_t)count;
            continue;
        }
        if (count > 1)
            (void)snprintf(others, sizeof others, " and %" JSON_INTEGER_FORMAT " more", count - 1);
        client_plain_copy(json_array_get(group, 0), "-", name, sizeof name);
        json_t *whom = json_sprintf("%s%s", name, others), *said = json_string(message);
        print_error(whom, said);
        json_decref(whom);
        json_decref(said);
    }
    json_decref(groups);
    return left;
}

void client_print_sweep_errors(const json_t *sweep)
{
    const json_t *error = json_object_get(sweep, "error");
    const json_t *list = json_object_get(sweep, "errors");
    struct client_progress progress;
    client_progress_read(sweep, &progress);
    size_t count = json_array_size(list);
    if (json_is_object(error)) {
        json_t *message = json_object_get(error, "message");
        const char *text = json_string_value(message);
        const char *first =
            text && count ? strstr(text, "; the first, ") : NULL; /* which the list has, too */
        json_t *said = first ? json_stringn(text, (size_t)(first - text)) : json_incref(message);
        print_error(json_object_get(error, "code"), said);
        json_decref(said);
    }
    int64_t left = (int64_t)client_print_alike(list, "message", ERRORS_MAX);
    left += progress.failed > (int64_t)count ? progress.failed - (int64_t)count : 0;
    if (left)
        (void)fprintf(stderr,
                      "  and %" PRId64 " more: `bifurcate tasks %" PRId64 " --state failed` lists all\n",
                      left, progress.id);
}

void client_print_sweep_passed_over(const json_t *sweep)
{
    char text[SENTENCE_SIZE];
    client_plain_copy(json_object_get(json_object_get(sweep, "passed_over"), "text"), "", text, sizeof text);
    if (text[0])
        (void)fprintf(stderr, "  passed over: %s\n", text);
}

void client_print_sweep_end(const json_t *sweep)
{
    struct client_progress progress;
    char bytes[32];
    client_progress_read(sweep, &progress);
    client_progress_format_bytes((double)progress.bytes_fetched, bytes, sizeof bytes);
    (void)fprintf(stderr, "sweep %" PRId64 " of %s: %s; %" PRId64 " of %" PRId64 " revisions measured",
                  progress.id, progress.model, progress.state, progress.done, progress.total);
    if (progress.bytes_fetched || !progress.is_folder)
        (void)fprintf(stderr, ", %s fetched", bytes);
    (void)fputc('\n', stderr);
    client_print_sweep_errors(sweep);
    client_print_sweep_passed_over(sweep);
    if (progress.done && progress.done < progress.total)
        (void)fputs("  The same `bifurcate sweep` again measures what is missing, and no more.\n", stderr);
}

/* One revision, which may have no step, is seen by its name; several as a series. */
void client_print_sweep_results(const json_t *sweeps)
{
    char name[CLIENT_CELL_SIZE];
    struct client_progress progress, last = {.done = 0};
    const json_t *sweep, *request = NULL;
    size_t measured = 0, models = 0, i;
    json_array_foreach(sweeps, i, sweep)
    {
        client_progress_read(sweep, &progress);
        if (!progress.done)
            continue;
        models += strcmp(progress.model, last.model) != 0;
        measured++;
        last = progress;
        request = json_object_get(sweep, "request");
    }
    const json_t *names = json_object_get(json_object_get(request, "revisions"), "names");
    const json_t *tensors = json_object_get(request, "tensors");
    char tensor[CLIENT_CELL_SIZE], named[CLIENT_CELL_SIZE + 16] = "";
    client_plain_copy(json_array_get(tensors, 0), "", tensor, sizeof tensor);
    int is_several = json_array_size(tensors) > 1 || strpbrk(tensor, "*?[");
    if (tensor[0])
        (void)snprintf(named, sizeof named, " --tensor %s", tensor);
    client_plain_copy(json_array_get(names, 0), "", name, sizeof name);
    if (models > 1)
        (void)fputs("See `bifurcate series MODEL` for each, `bifurcate scaling` for all.\n", stderr);
    else if (measured && is_several)
        (void)fprintf(stderr,
                      "See `bifurcate tensors %s`, and `bifurcate series %s --tensor NAME` of each.\n",
                      last.model, last.model);
    else if (measured == 1 && json_array_size(names) == 1 && name[0])
        (void)fprintf(stderr, "See `bifurcate revision %s %s%s`.\n", last.model, name, named);
    else if (measured)
        (void)fprintf(stderr, "See `bifurcate series %s%s`.\n", last.model, named);
}
