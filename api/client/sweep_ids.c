#include "api/client/sweep_ids.h"

#include "api/client/commands.h"
#include "api/client/pages.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

int client_parse_id(const char *word, const char *thing, const char *list, int64_t *ret_id, struct err *err)
{
    char *end = NULL;
    errno = 0;
    long long id = strtoll(word, &end, 10);
    if (errno || *end || id < 1)
        return err_set(err, ERR_INVALID, "%.60s: not the number of a %s; `bifurcate %s` lists them", word,
                       thing, list);
    *ret_id = id;
    return 0;
}

int client_parse_sweeps(const struct client_arguments *arguments, int64_t **ret_ids, size_t *ret_count,
                        struct err *err)
{
    int64_t *ids = calloc(arguments->word_count + 1, sizeof *ids);
    if (!ids)
        return err_set(err, ERR_NO_MEMORY, "no memory for the list of sweeps");
    for (size_t i = 0; i < arguments->word_count; i++) {
        int code = client_parse_id(arguments->words[i], "sweep", "sweeps", &ids[i], err);
        if (code) {
            free(ids);
            return code;
        }
    }
    *ret_ids = ids;
    *ret_count = arguments->word_count;
    return 0;
}

static int compare_ids(const void *left, const void *right)
{
    int64_t one, other;
    memcpy(&one, left, sizeof one);
    memcpy(&other, right, sizeof other);
    return (one > other) - (one < other);
}

/* Appends the sweeps of one state. */
static int find_state(struct client_link *link, const char *state, int64_t **ids, size_t *count,
                      struct err *err)
{
    char target[64];
    json_t *document = NULL;
    const json_t *row;
    size_t i;
    (void)snprintf(target, sizeof target, "/v1/sweeps?state=%s&limit=1000&fields=id", state);
    int code = pages_get(link, target, "sweeps", &document, err);
    if (code)
        return code;
    const json_t *rows = json_object_get(document, "sweeps");
    int64_t *larger = realloc(*ids, (*count + json_array_size(rows) + 1) * sizeof *larger);
    if (!larger) {
        json_decref(document);
        return err_set(err, ERR_NO_MEMORY, "no memory for the list of sweeps");
    }
    *ids = larger;
    json_array_foreach(rows, i, row)
    {
        larger[(*count)++] = json_integer_value(json_object_get(row, "id"));
    }
    json_decref(document);
    return 0;
}

int client_find_sweeps(struct client_link *link, int64_t **ret_ids, size_t *ret_count, struct err *err)
{
    int64_t *ids = NULL;
    size_t count = 0, kept = 0;
    int code = find_state(link, "planning", &ids, &count, err); /* first: a sweep goes from here ... */
    if (!code)
        code = find_state(link, "running", &ids, &count, err); /* ... to there meanwhile */
    if (code) {
        free(ids);
        return code;
    }
    qsort(ids, count, sizeof *ids, compare_ids);
    for (size_t i = 0; i < count; i++) {
        if (i == 0 || ids[i] != ids[i - 1])
            ids[kept++] = ids[i];
    }
    *ret_ids = ids;
    *ret_count = kept;
    return 0;
}
