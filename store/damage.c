#include "store/damage.h"

#include "store/blob.h"
#include "store/query.h"
#include "store/touch.h"

#define IDS_MAX 100 /* of a transaction */

static const struct {
    const char *list, *remove;
} TABLES[] = {
    {"SELECT rowid, encoding, size_raw, data FROM distributions WHERE rowid > ? ORDER BY rowid",
     "DELETE FROM distributions WHERE rowid = ? RETURNING content_id"},
    {"SELECT rowid, encoding, size_raw, data FROM columns_statistics WHERE rowid > ? ORDER BY rowid",
     "DELETE FROM columns_statistics WHERE rowid = ? RETURNING content_id"},
    {"SELECT rowid, encoding, size_raw, data FROM samples WHERE rowid > ? ORDER BY rowid",
     "DELETE FROM samples WHERE rowid = ? RETURNING content_id"},
};
#define TABLE_COUNT (sizeof TABLES / sizeof TABLES[0])

/* The ids of at most IDS_MAX damaged rows after *after, which becomes the last of them. */
static int find(struct connection *connection, size_t table, int64_t *after, int64_t *ids, size_t *ret_count,
                struct err *err)
{
    struct query query;
    size_t count = 0;
    int code = query_begin(&query, connection, TABLES[table].list, err);
    if (code)
        return code;
    query_bind_int(&query, *after);
    while (count < IDS_MAX && (code = query_next(&query, err)) > 0) {
        struct err reason = ERR_INIT;
        size_t size = 0;
        int64_t id = query_int(&query), encoding = query_int(&query), size_raw = query_int(&query);
        const void *data = query_blob(&query, &size);
        int fault = blob_check(data, size, encoding, size_raw, &reason);
        if (fault == ERR_DATABASE)
            *after = ids[count++] = id;
        else if (fault) { /* no memory, or an encoding of a later program */
            *err = reason;
            code = fault;
            break;
        }
    }
    code = query_end(&query, code);
    *ret_count = count;
    return code < 0 ? code : 0;
}

/* For each part of what is damaged; `take` may be NULL. */
static int visit(struct connection *connection, struct store *store,
                 int (*take)(struct store *store, size_t table, const int64_t *ids, size_t count,
                             struct err *err),
                 int64_t *ret_count, struct err *err)
{
    int64_t ids[IDS_MAX];
    int code = 0;
    *ret_count = 0;
    for (size_t table = 0; !code && table < TABLE_COUNT; table++) {
        size_t count = IDS_MAX;
        int64_t after = 0;
        while (!code && count == IDS_MAX) {
            struct connection *reader = connection;
            if (!reader && (code = store_read_begin(store, &reader, err)))
                break;
            code = find(reader, table, &after, ids, &count, err);
            if (!connection)
                store_read_end(store, reader);
            if (!code && count && take)
                code = take(store, table, ids, count, err);
            *ret_count += code ? 0 : (int64_t)count;
        }
    }
    return code;
}

int damage_count(struct connection *connection, int64_t *ret_count, struct err *err)
{
    return visit(connection, NULL, NULL, ret_count, err);
}

static int delete_one(struct connection *connection, size_t table, int64_t id, struct err *err)
{
    struct query query;
    int64_t content_id = 0;
    int code = query_begin(&query, connection, TABLES[table].remove, err);
    if (code)
        return code;
    query_bind_int(&query, id);
    code = query_run_int(&query, &content_id, err);
    return code > 0 ? touch_models_with(connection, content_id, 0, err) : code;
}

static int delete_of(struct store *store, size_t table, const int64_t *ids, size_t count, struct err *err)
{
    struct connection *connection = NULL;
    int code = store_write_begin(store, CONNECTION_DURABILITY_FULL, &connection, err);
    if (code)
        return code;
    for (size_t i = 0; !code && i < count; i++)
        code = delete_one(connection, table, ids[i], err);
    return store_write_end(store, code, err);
}

int damage_delete(struct store *store, int64_t *ret_count, struct err *err)
{
    return visit(NULL, store, delete_of, ret_count, err);
}
