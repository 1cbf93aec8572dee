#include "store/tokens.h"

#include "daemon/base/clock.h"
#include "daemon/base/limits.h"
#include "store/query.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TOKEN_COLUMNS "id, name, digest, scopes, created_ms, expires_ms, last_used_ms, revoked_ms"

/* -- Scopes ---------------------------------------------------------------------------------------------- */

static const struct {
    enum token_scope scope;
    const char *name;
} SCOPES[] = {
    {TOKEN_SCOPE_READ, "read"},
    {TOKEN_SCOPE_SWEEP, "sweep"},
    {TOKEN_SCOPE_WORKER, "worker"},
    {TOKEN_SCOPE_ADMIN, "admin"},
};
#define SCOPE_COUNT (sizeof SCOPES / sizeof SCOPES[0])

unsigned token_scopes_parse(const char *text)
{
    unsigned scopes = 0;
    for (;;) {
        text += strspn(text, " ");
        size_t length = strcspn(text, ", ");
        unsigned scope = 0;
        for (size_t i = 0; i < SCOPE_COUNT; i++) {
            if (strlen(SCOPES[i].name) == length && strncmp(text, SCOPES[i].name, length) == 0)
                scope = SCOPES[i].scope;
        }
        if (!scope)
            return 0;
        scopes |= scope;
        text += length;
        text += strspn(text, " ");
        if (!*text)
            return scopes;
        if (*text++ != ',')
            return 0;
    }
}

void token_scopes_format(unsigned scopes, char text[TOKEN_SCOPES_SIZE])
{
    text[0] = 0;
    for (size_t i = 0; i < SCOPE_COUNT; i++) {
        size_t length = strlen(text);
        if (scopes & SCOPES[i].scope)
            (void)snprintf(text + length, TOKEN_SCOPES_SIZE - length, "%s%s", length ? "," : "",
                           SCOPES[i].name);
    }
}

const char *token_scope_name(enum token_scope scope)
{
    for (size_t i = 0; i < SCOPE_COUNT; i++) {
        if (SCOPES[i].scope == scope)
            return SCOPES[i].name;
    }
    return "";
}

int token_scopes_allow(unsigned scopes, enum token_scope scope)
{
    return (scopes & ((unsigned)scope | TOKEN_SCOPE_ADMIN)) != 0;
}

/* -- Rows ------------------------------------------------------------------------------------------------ */

static int read_row(struct query *query, struct token_row *row, struct err *err)
{
    char text[DIGEST_SHA256_HEX_SIZE];
    row->id = query_int(query);
    query_text(query, row->name, sizeof row->name);
    query_text(query, text, sizeof text);
    int is_digest = digest_of_hex(text, row->digest, sizeof row->digest);
    query_text(query, text, sizeof text);
    row->scopes = token_scopes_parse(text);
    row->created_ms = query_int(query);
    row->expires_ms = query_int(query);
    row->last_used_ms = query_int(query);
    row->revoked_ms = query_int(query);
    if (!is_digest)
        return err_set(err, ERR_DATABASE, "token %lld: its digest is damaged", (long long)row->id);
    return 0;
}

static int list_rows(struct query *query, int (*row)(void *context, const struct token_row *row),
                     void *context, struct err *err)
{
    int code;
    while ((code = query_next(query, err)) > 0) {
        struct token_row one = {0};
        if ((code = read_row(query, &one, err)) || row(context, &one))
            break;
    }
    code = query_end(query, code);
    return code < 0 ? code : 0;
}

int tokens_list(struct store *store, int64_t after_id, int limit,
                int (*row)(void *context, const struct token_row *row), void *context, struct err *err)
{
    struct query query;
    int code = query_open(&query, store,
                          "SELECT " TOKEN_COLUMNS " FROM tokens WHERE id > ? ORDER BY id LIMIT ?", err);
    if (code)
        return code;
    query_bind_int(&query, after_id);
    query_bind_int(&query, limit);
    code = list_rows(&query, row, context, err);
    return query_close(&query, code);
}

int tokens_list_live(struct store *store, int (*row)(void *context, const struct token_row *row),
                     void *context, struct err *err)
{
    struct query query;
    int code = query_open(&query, store,
                          "SELECT " TOKEN_COLUMNS " FROM tokens WHERE revoked_ms IS NULL ORDER BY id", err);
    if (code)
        return code;
    code = list_rows(&query, row, context, err);
    return query_close(&query, code);
}

static int take_row(void *context, const struct token_row *row)
{
    *(struct token_row *)context = *row;
    return 1;
}

int tokens_get(struct store *store, int64_t id, struct token_row *ret_row, struct err *err)
{
    struct token_row row = {0};
    int code = tokens_list(store, id - 1, 1, take_row, &row, err);
    if (code)
        return code;
    if (row.id != id)
        return err_set_absent(err, ERR_ABSENT_TOKEN, "token %lld: there is no such token", (long long)id);
    *ret_row = row;
    return 0;
}

struct search {
    const char *name;
    struct token_row row;
};

static int compare_name(void *context, const struct token_row *row)
{
    struct search *search = context;
    if (strcmp(search->name, row->name) != 0)
        return 0;
    search->row = *row;
    return 1;
}

int tokens_find(struct store *store, const char *name_or_id, struct token_row *ret_row, struct err *err)
{
    size_t length = strlen(name_or_id);
    if (length && length < 18 && strspn(name_or_id, "0123456789") == length) /* names have a letter */
        return tokens_get(store, strtoll(name_or_id, NULL, 10), ret_row, err);
    struct search search = {.name = name_or_id};
    int code = tokens_list_live(store, compare_name, &search, err);
    if (code)
        return code;
    if (!search.row.id)
        return err_set_absent(err, ERR_ABSENT_TOKEN, "token %.80s: no valid token has this name", name_or_id);
    *ret_row = search.row;
    return 0;
}

/* -- Changes --------------------------------------------------------------------------------------------- */

static int check_request(const struct token_request *request, struct err *err)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.";
    size_t length = strlen(request->name);
    if (length == 0 || length >= TOKEN_NAME_SIZE || strspn(request->name, plain) != length ||
        strcspn(request->name, letters) == length)
        return err_set(err, ERR_INVALID,
                       "name: 1 to %d letters, digits, \"-\", \"_\" or \".\", with a letter among them",
                       TOKEN_NAME_SIZE - 1);
    if (!request->scopes || request->scopes & ~15U)
        return err_set(err, ERR_INVALID, "scopes: at least one of read, sweep, worker and admin");
    if (request->expires_ms && request->expires_ms <= clock_wall_ms())
        return err_set(err, ERR_INVALID, "expires: that time has passed");
    return 0;
}

static int check_room(struct connection *connection, const char *name, struct err *err)
{
    struct query query;
    int64_t count = 0, same = 0;
    int code = query_begin(&query, connection,
                           "SELECT count(*), sum(name = ?) FROM tokens WHERE revoked_ms IS NULL", err);
    if (code)
        return code;
    query_bind_text(&query, name);
    if ((code = query_next(&query, err)) > 0) {
        count = query_int(&query);
        same = query_int(&query);
    }
    code = query_end(&query, code);
    if (code < 0)
        return code;
    if (same)
        return err_set(err, ERR_CONFLICT, "token %s: the name is in use; revoke that token or choose another",
                       name);
    if (count >= LIMIT_TOKENS)
        return err_set(err, ERR_LIMIT, "there are %d tokens already; revoke some", LIMIT_TOKENS);
    return 0;
}

/* Daemons that cache the table must read it again. */
static int count_up(struct connection *connection, struct err *err)
{
    struct query query;
    int code =
        query_begin(&query, connection, "UPDATE token_changes SET version = version + 1 WHERE id = 1", err);
    return code ? code : query_run(&query, err);
}

/* Runs a bound statement that returns the row it has changed: 1, 0 for none, or a negative code. */
static int run_row(struct query *query, struct token_row *row, struct err *err)
{
    int code = query_next(query, err);
    if (code > 0 && read_row(query, row, err))
        code = err->code;
    code = query_end(query, code);
    return code;
}

static int insert(struct connection *connection, const struct token_request *request, const char *text,
                  struct token_row *row, struct err *err)
{
    struct query query;
    char digest[DIGEST_SHA256_HEX_SIZE], scopes[TOKEN_SCOPES_SIZE];
    int code = digest_sha256_hex(text, strlen(text), digest, err);
    if (code)
        return code;
    token_scopes_format(request->scopes, scopes);
    code = query_begin(&query, connection,
                       "INSERT INTO tokens (name, digest, scopes, created_ms, expires_ms) "
                       "VALUES (?, ?, ?, ?, ?) RETURNING " TOKEN_COLUMNS,
                       err);
    if (code)
        return code;
    query_bind_text(&query, request->name);
    query_bind_text(&query, digest);
    query_bind_text(&query, scopes);
    query_bind_int(&query, clock_wall_ms());
    query_bind_id(&query, request->expires_ms);
    code = run_row(&query, row, err);
    return code < 0 ? code : count_up(connection, err);
}

int tokens_create(struct store *store, const struct token_request *request, char text[TOKEN_TEXT_SIZE],
                  struct token_row *ret_row, struct err *err)
{
    struct connection *connection = NULL;
    struct token_row row = {0};
    int code = check_request(request, err);
    if (!code)
        code = token_text_make(text, err);
    if (!code)
        code = store_write_begin(store, CONNECTION_DURABILITY_FULL, &connection, err);
    if (code)
        return code;
    code = check_room(connection, request->name, err);
    if (!code)
        code = insert(connection, request, text, &row, err);
    store_write_keep_version(connection);
    code = store_write_end(store, code, err);
    if (!code && ret_row)
        *ret_row = row;
    return code;
}

int tokens_revoke(struct store *store, int64_t id, struct token_row *ret_row, struct err *err)
{
    struct token_row row;
    struct connection *connection = NULL;
    struct query query;
    int code = tokens_get(store, id, &row, err);
    if (!code)
        code = store_write_begin(store, CONNECTION_DURABILITY_FULL, &connection, err);
    if (code)
        return code;
    code = query_begin(&query, connection,
                       "UPDATE tokens SET revoked_ms = ? WHERE id = ? AND revoked_ms IS NULL "
                       "RETURNING " TOKEN_COLUMNS,
                       err);
    if (!code) {
        query_bind_int(&query, clock_wall_ms());
        query_bind_int(&query, id);
        code = run_row(&query, &row, err);
    }
    if (code >= 0)
        code = code ? count_up(connection, err)
                    : err_set(err, ERR_CONFLICT, "token %lld (%s): it was revoked before", (long long)id,
                              row.name);
    store_write_keep_version(connection);
    code = store_write_end(store, code, err);
    if (!code && ret_row)
        *ret_row = row;
    return code;
}

int tokens_touch(struct store *store, int64_t id, int64_t used_ms, struct err *err)
{
    struct query query;
    int code = query_open_write(
        &query, store, CONNECTION_DURABILITY_CRASH,
        "UPDATE tokens SET last_used_ms = max(coalesce(last_used_ms, 0), ?) WHERE id = ?", err);
    if (code)
        return code;
    query_bind_int(&query, used_ms);
    query_bind_int(&query, id);
    return query_commit_quietly(&query, err);
}

int tokens_version(struct store *store, int64_t *ret_version, struct err *err)
{
    struct query query;
    int code = query_open(&query, store, "SELECT version FROM token_changes WHERE id = 1", err);
    if (code)
        return code;
    code = query_run_int(&query, ret_version, err);
    return query_close(&query, code);
}
