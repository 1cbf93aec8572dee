#include "daemon/hub/hub_json.h"

#include "daemon/base/digest.h"
#include "daemon/base/json_bound.h"
#include "daemon/base/json_text.h"
#include "daemon/base/limits.h"
#include "daemon/base/repository_name.h"
#include "daemon/base/utf8.h"
#include "daemon/hub/hub_json_parts.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

int hub_json_parse(const char *data, size_t size, const char *what, json_t **ret_root, struct err *err)
{
    json_error_t error;
    if (size > LIMIT_HUB_JSON_BYTES)
        return err_set(err, ERR_LIMIT, "%s: the reply is larger than %zu bytes", what, LIMIT_HUB_JSON_BYTES);
    if (json_bound_check(data, size, LIMIT_HUB_JSON_VALUES, LIMIT_HUB_JSON_CONTAINERS, err))
        return err_wrap(err, "%s", what);
    json_t *root = json_text_load(data, size, 0, &error);
    if (!root && json_text_lacked_memory(&error))
        return err_set(err, ERR_NO_MEMORY, "%s: out of memory", what);
    if (!root)
        return err_set(err, ERR_FORMAT,
                       "%s: the reply is not JSON (%.80s at byte %d): check HF_ENDPOINT and proxies", what,
                       error.text, error.position);
    *ret_root = root;
    return 0;
}

const char *hub_json_text_of(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));
    return text ? text : "";
}

int hub_json_grow(void **rows, size_t count, size_t row_size)
{
    if (count & (count - 1))
        return 0;
    void *grown = realloc(*rows, (count ? 2 * count : 1) * row_size);
    if (!grown)
        return -1;
    *rows = grown;
    return 0;
}

/* -- Refs ------------------------------------------------------------------------------------------ */

static int is_plain_name(const char *name)
{
    size_t size = strlen(name);
    if (size == 0)
        return 0;
    for (size_t i = 0; i < size; i++) {
        if ((unsigned char)name[i] < 0x20 || name[i] == 0x7f)
            return 0;
    }
    return utf8_is_valid(name, size);
}

int hub_json_is_ref_name(const char *name)
{
    return strlen(name) < LIMIT_REVISION_NAME_BYTES && is_plain_name(name);
}

int hub_json_append_ref(struct repository_refs *refs, enum repository_ref_kind kind, const char *name,
                        const char *commit, struct err *err)
{
    if (refs->count >= LIMIT_HUB_REFS)
        return err_set(err, ERR_LIMIT, "refs: more than %d", LIMIT_HUB_REFS);
    if (strlen(name) >= LIMIT_REVISION_NAME_BYTES)
        return 0;
    if (!is_plain_name(name))
        return err_set(err, ERR_FORMAT,
                       "refs: \"%.80s\": a revision's name is UTF-8 without control characters", name);
    if (!digest_is_hex(commit, REPOSITORY_COMMIT_SIZE - 1))
        return err_set(err, ERR_FORMAT, "refs: %.100s: its commit is not 40 hexadecimal digits", name);
    void *rows = refs->rows;
    char *copy = strdup(name);
    if (!copy || hub_json_grow(&rows, refs->count, sizeof *refs->rows)) {
        free(copy);
        return err_set(err, ERR_NO_MEMORY, "refs: out of memory");
    }
    refs->rows = rows;
    struct repository_ref *row = &refs->rows[refs->count++];
    *row = (struct repository_ref){.name = copy, .kind = kind};
    (void)snprintf(row->commit, sizeof row->commit, "%s", commit);
    return 0;
}

int hub_json_parse_refs_page(const char *data, size_t size, struct repository_refs *refs, struct err *err)
{
    static const struct {
        const char *list, *name;
        enum repository_ref_kind kind;
    } lists[] = {
        {"branches", "name", REPOSITORY_REF_KIND_BRANCH},
        {"tags", "name", REPOSITORY_REF_KIND_TAG},
        /* the name of a pull request is "pr/1", what the hub resolves is "refs/pr/1" */
        {"pullRequests", "ref", REPOSITORY_REF_KIND_PULL_REQUEST},
    };
    json_t *root = NULL;
    int code = hub_json_parse(data, size, "refs", &root, err);
    if (code)
        return code;
    if (!json_is_array(json_object_get(root, "branches")))
        code = err_set(err, ERR_FORMAT, "refs: the reply has no list of branches");
    for (size_t i = 0; !code && i < sizeof lists / sizeof lists[0]; i++) {
        size_t index;
        json_t *row;
        json_array_foreach(json_object_get(root, lists[i].list), index, row)
        {
            code = hub_json_append_ref(refs, lists[i].kind, hub_json_text_of(row, lists[i].name),
                                       hub_json_text_of(row, "targetCommit"), err);
            if (code)
                break;
        }
    }
    json_decref(root);
    return code;
}

/* -- Histories ------------------------------------------------------------------------------------- */

/* "2023-02-13T12:00:00.000Z" in milliseconds since 1970; -1 for anything else. */
static int64_t read_date(const char *text)
{
    struct tm parts = {0};
    const char *end = strptime(text, "%Y-%m-%dT%H:%M:%S", &parts);
    if (end && *end == '.')
        end += 1 + strspn(end + 1, "0123456789");
    if (!end || strcmp(end, "Z") != 0)
        return -1;
    const time_t seconds = timegm(&parts);
    return seconds >= 0 ? (int64_t)seconds * 1000 : -1;
}

int hub_json_append_commit(struct repository_commits *commits, const char *id, const char *title,
                           int64_t date_ms, struct err *err)
{
    if (commits->count >= LIMIT_HUB_COMMITS)
        return err_set(err, ERR_LIMIT, "commits: more than %d", LIMIT_HUB_COMMITS);
    if (!digest_is_hex(id, REPOSITORY_COMMIT_SIZE - 1))
        return err_set(err, ERR_FORMAT, "commits: \"%.100s\": not 40 hexadecimal digits", id);
    if (!hub_json_is_ref_name(title))
        return 0;
    void *rows = commits->rows;
    char *copy = strdup(title);
    if (!copy || hub_json_grow(&rows, commits->count, sizeof *commits->rows)) {
        free(copy);
        return err_set(err, ERR_NO_MEMORY, "commits: out of memory");
    }
    commits->rows = rows;
    struct repository_commit *row = &commits->rows[commits->count++];
    *row = (struct repository_commit){.title = copy, .date_ms = date_ms};
    (void)snprintf(row->id, sizeof row->id, "%s", id);
    return 0;
}

int hub_json_parse_commits_page(const char *data, size_t size, struct repository_commits *commits,
                                struct err *err)
{
    json_t *root = NULL;
    int code = hub_json_parse(data, size, "commits", &root, err);
    if (code)
        return code;
    if (!json_is_array(root))
        code = err_set(err, ERR_FORMAT, "commits: the reply is not a list");
    size_t index;
    json_t *row;
    json_array_foreach(root, index, row)
    {
        if (!code)
            code =
                hub_json_append_commit(commits, hub_json_text_of(row, "id"), hub_json_text_of(row, "title"),
                                       read_date(hub_json_text_of(row, "date")), err);
    }
    json_decref(root);
    return code;
}

/* -- An owner's models ------------------------------------------------------------------------------ */

int hub_json_append_model(struct hub_listing *listing, const char *owner, const char *name,
                          const char *commit, struct err *err)
{
    const size_t owner_size = strlen(owner);
    if (listing->count >= LIMIT_HUB_REPOSITORIES)
        return err_set(err, ERR_LIMIT, "models of %.96s: more than %d", owner, LIMIT_HUB_REPOSITORIES);
    if (!repository_name_is_valid(name) || repository_name_owner_size(name) != owner_size ||
        strncasecmp(name, owner, owner_size) != 0)
        return 0;
    if (commit[0] && !digest_is_hex(commit, REPOSITORY_COMMIT_SIZE - 1))
        return err_set(err, ERR_FORMAT, "models: %s: its commit is not 40 hexadecimal digits", name);
    void *rows = listing->rows;
    char *copy = strdup(name);
    if (!copy || hub_json_grow(&rows, listing->count, sizeof *listing->rows)) {
        free(copy);
        return err_set(err, ERR_NO_MEMORY, "models: out of memory");
    }
    listing->rows = rows;
    struct hub_listed *row = &listing->rows[listing->count++];
    *row = (struct hub_listed){.name = copy};
    (void)snprintf(row->commit, sizeof row->commit, "%s", commit);
    return 0;
}

int hub_json_parse_models_page(const char *data, size_t size, const char *owner, struct hub_listing *listing,
                               struct err *err)
{
    json_t *root = NULL;
    int code = hub_json_parse(data, size, "models", &root, err);
    if (code)
        return code;
    if (!json_is_array(root))
        code = err_set(err, ERR_FORMAT, "models: the reply is not a list");
    size_t index;
    json_t *row;
    json_array_foreach(root, index, row)
    {
        const char *name =
            hub_json_text_of(row, "id")[0] ? hub_json_text_of(row, "id") : hub_json_text_of(row, "modelId");
        if (!code && !name[0])
            code = err_set(err, ERR_FORMAT, "models: an entry has no name");
        if (!code)
            code = hub_json_append_model(listing, owner, name, hub_json_text_of(row, "sha"), err);
    }
    json_decref(root);
    return code;
}

/* -- Commits, users and errors --------------------------------------------------------------------- */

int hub_json_parse_commit(const char *data, size_t size, char *commit, struct err *err)
{
    json_t *root = NULL;
    int code = hub_json_parse(data, size, "revision", &root, err);
    if (code)
        return code;
    const char *sha = hub_json_text_of(root, "sha");
    if (digest_is_hex(sha, REPOSITORY_COMMIT_SIZE - 1))
        (void)snprintf(commit, REPOSITORY_COMMIT_SIZE, "%s", sha);
    else
        code = err_set(err, ERR_FORMAT, "revision: the reply names no commit");
    json_decref(root);
    return code;
}

int hub_json_parse_user(const char *data, size_t size, char *name, size_t name_size, struct err *err)
{
    json_t *root = NULL;
    int code = hub_json_parse(data, size, "user", &root, err);
    if (code)
        return code;
    const char *found = hub_json_text_of(root, "name");
    if (!found[0])
        code = err_set(err, ERR_FORMAT, "user: the reply has no name");
    for (const char *p = found; *p && !code; p++) {
        if ((unsigned char)*p < 0x20 || *p == 0x7f) /* it is shown on terminals */
            code = err_set(err, ERR_FORMAT, "user: the name has control characters");
    }
    if (!code)
        (void)snprintf(name, name_size, "%s", found);
    json_decref(root);
    return code;
}

void hub_json_parse_error(const char *data, size_t size, char *text, size_t text_size)
{
    json_t *root = json_text_load(data, size, 0, NULL);
    const char *found = hub_json_text_of(root, "error");
    if (!found[0])
        found = hub_json_text_of(json_array_get(json_object_get(root, "errors"), 0), "message");
    (void)snprintf(text, text_size, "%s", found);
    json_decref(root);
}
