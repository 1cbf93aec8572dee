#include "store/models.h"

#include "daemon/base/clock.h"
#include "store/rows.h"
#include "store/touch.h"

#include <string.h>

#define MODEL_COLUMNS                                                                                        \
    "id, name, kind, model_type, vocabulary_size, token_rows, hidden_size, layers, parameter_count, "        \
    "tensor, "                                                                                               \
    "step_unit, revision_count, measured_count, version, created_ms, updated_ms"

const char *model_kind_name(enum model_kind kind)
{
    return kind == MODEL_KIND_HUB ? "hub" : "folder";
}

static void read_row(struct query *query, struct model_row *row)
{
    char kind[16];
    row->id = query_int(query);
    query_text(query, row->name, sizeof row->name);
    query_text(query, kind, sizeof kind);
    row->kind = strcmp(kind, "hub") ? MODEL_KIND_FOLDER : MODEL_KIND_HUB;
    query_text(query, row->model_type, sizeof row->model_type);
    row->vocabulary_size = query_int(query);
    row->token_rows = query_int(query);
    row->hidden_size = query_int(query);
    row->layers = query_int(query);
    row->parameter_count = query_int(query);
    query_text(query, row->tensor, sizeof row->tensor);
    row->step_unit = (enum step_unit)query_int(query);
    row->revision_count = query_int(query);
    row->measured_count = query_int(query);
    row->version = (uint64_t)query_int(query);
    row->created_ms = query_int(query);
    row->updated_ms = query_int(query);
}

int models_ensure(struct store *store, const char *name, enum model_kind kind, int64_t *ret_id,
                  struct err *err)
{
    if (!name[0] || strlen(name) > LIMIT_MODEL_NAME_BYTES)
        return err_set(err, ERR_INVALID, "model: a name has 1 to %d bytes", LIMIT_MODEL_NAME_BYTES);
    struct connection *connection = NULL;
    struct query query;
    int64_t id = 0, now = clock_wall_ms();
    int code = store_write_begin(store, CONNECTION_DURABILITY_FULL, &connection, err);
    if (code)
        return code;
    code = query_begin(&query, connection,
                       "INSERT INTO models (id, name, kind, created_ms, updated_ms) "
                       "VALUES (" ROWS_NEW_ID("models") ", ?, ?, ?, ?) ON CONFLICT (name) DO NOTHING",
                       err);
    if (code)
        goto out;
    query_bind_text(&query, name);
    query_bind_text(&query, model_kind_name(kind));
    query_bind_int(&query, now);
    query_bind_int(&query, now);
    if ((code = query_run(&query, err)) ||
        (code = query_begin(&query, connection, "SELECT id FROM models WHERE name = ?", err)))
        goto out;
    query_bind_text(&query, name);
    code = query_run_int(&query, &id, err);
    code = code < 0 ? code : 0;
out:
    code = store_write_end(store, code, err);
    if (!code)
        *ret_id = id;
    return code;
}

int models_describe(struct store *store, const struct model_row *row, struct err *err)
{
    struct connection *connection = NULL;
    struct query query;
    int64_t id = 0;
    int code = store_write_begin(store, CONNECTION_DURABILITY_FULL, &connection, err);
    if (code)
        return code;
    /* Unchanged descriptions leave the version alone: every nightly sweep comes by here. */
    code = query_begin(
        &query, connection,
        "UPDATE models SET model_type = ?2, vocabulary_size = ?3, token_rows = ?4, hidden_size = ?5, "
        "layers = ?6, parameter_count = ?7, tensor = ?8 WHERE id = ?1 AND (model_type, vocabulary_size, "
        "token_rows, hidden_size, layers, parameter_count, tensor) <> (?2, ?3, ?4, ?5, ?6, ?7, ?8) "
        "RETURNING id",
        err);
    if (code)
        goto out;
    query_bind_int(&query, row->id);
    query_bind_text(&query, row->model_type);
    query_bind_int(&query, row->vocabulary_size);
    query_bind_int(&query, row->token_rows);
    query_bind_int(&query, row->hidden_size);
    query_bind_int(&query, row->layers);
    query_bind_int(&query, row->parameter_count);
    query_bind_text(&query, row->tensor);
    code = query_run_int(&query, &id, err);
    if (code > 0)
        code = touch_recount_model(connection, row->id, err);
out:
    return store_write_end(store, code, err);
}

/* Runs a bound statement for one model. */
static int find_one(struct query *query, struct model_row *ret_row, const char *what, struct err *err)
{
    int code = query_next(query, err);
    if (code > 0)
        read_row(query, ret_row);
    else if (code == 0)
        code = err_set_absent(err, ERR_ABSENT_MODEL, "model %s is not known", what);
    code = query_end(query, code);
    return code < 0 ? code : 0;
}

int models_find(struct store *store, const char *name, struct model_row *ret_row, struct err *err)
{
    struct query query;
    int code = query_open(&query, store,
                          "SELECT " MODEL_COLUMNS " FROM models WHERE name = ? AND removed IS NULL", err);
    if (code)
        return code;
    query_bind_text(&query, name);
    code = find_one(&query, ret_row, name, err);
    return query_close(&query, code);
}

int models_get(struct store *store, int64_t id, struct model_row *ret_row, struct err *err)
{
    struct query query;
    int code = query_open(&query, store,
                          "SELECT " MODEL_COLUMNS " FROM models WHERE id = ? AND removed IS NULL", err);
    if (code)
        return code;
    query_bind_int(&query, id);
    code = find_one(&query, ret_row, "with this id", err);
    return query_close(&query, code);
}

int models_get_rule(struct store *store, int64_t id, struct buf *buf, struct err *err)
{
    struct query query;
    int code = query_open(&query, store, "SELECT rule FROM models WHERE id = ?", err);
    if (code)
        return code;
    query_bind_int(&query, id);
    code = query_next(&query, err);
    if (code > 0)
        code = query_append(&query, buf, "rule of a model", err);
    return query_close(&query, code);
}

int models_version(struct store *store, const char *name, int64_t *ret_id, uint64_t *ret_version,
                   struct err *err)
{
    struct query query;
    int code =
        query_open(&query, store, "SELECT id, version FROM models WHERE name = ? AND removed IS NULL", err);
    if (code)
        return code;
    query_bind_text(&query, name);
    code = query_next(&query, err);
    if (code > 0) {
        *ret_id = query_int(&query);
        *ret_version = (uint64_t)query_int(&query);
    } else if (code == 0) {
        code = err_set_absent(err, ERR_ABSENT_MODEL, "model %s is not known", name);
    }
    return query_close(&query, code);
}

int models_list(struct store *store, const char *after, int limit,
                int (*row)(void *context, const struct model_row *row), void *context, struct err *err)
{
    struct query query;
    struct model_row model;
    int code =
        query_open(&query, store,
                   "SELECT " MODEL_COLUMNS " FROM models WHERE name > ? AND removed IS NULL AND EXISTS "
                   "(SELECT 1 FROM revisions WHERE model_id = models.id) ORDER BY name LIMIT ?",
                   err);
    if (code)
        return code;
    query_bind_text(&query, after);
    query_bind_int(&query, limit);
    while ((code = query_next(&query, err)) > 0) {
        read_row(&query, &model);
        if (row(context, &model))
            break;
    }
    return query_close(&query, code);
}

int models_list_tensors(struct store *store, int64_t id,
                        void (*row)(void *context, const char *tensor, int64_t measured), void *context,
                        struct err *err)
{
    struct query query;
    char tensor[LIMIT_TENSOR_NAME_BYTES + 1];
    int code = query_open(
        &query, store,
        "SELECT t.tensor, count(*) FROM revisions r JOIN revision_tensors t ON t.revision_id = r.id "
        "WHERE r.model_id = ? AND r.is_current = 1 AND r.is_stepless = 0 GROUP BY t.tensor ORDER BY 1",
        err);
    if (code)
        return code;
    query_bind_int(&query, id);
    while ((code = query_next(&query, err)) > 0) {
        query_text(&query, tensor, sizeof tensor);
        row(context, tensor, query_int(&query));
    }
    return query_close(&query, code);
}

int models_has_tensor(struct store *store, int64_t id, const char *tensor, int *ret_has, struct err *err)
{
    struct query query;
    int code =
        query_open(&query, store,
                   "SELECT 1 FROM revisions r JOIN revision_tensors t ON t.revision_id = r.id "
                   "WHERE r.model_id = ? AND r.is_current = 1 AND r.is_stepless = 0 AND t.tensor = ? LIMIT 1",
                   err);
    if (code)
        return code;
    query_bind_int(&query, id);
    query_bind_text(&query, tensor);
    code = query_next(&query, err);
    *ret_has = code > 0;
    return query_close(&query, code);
}
