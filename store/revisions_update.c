/*
 * Taking over what the hub lists: revisions that are new, have moved, or are gone.
 */
#include "daemon/base/clock.h"
#include "store/revisions.h"
#include "store/rows.h"
#include "store/touch.h"

#include <stdlib.h>
#include <string.h>

/* A current revision before the update. */
struct known {
    int64_t id;
    int is_seen; /* its name is in the list */
    char name[LIMIT_REVISION_NAME_BYTES + 1];
};

struct update {
    struct connection *connection;
    int64_t model_id;
    const enum step_unit *unit; /* of the steps; NULL: what it was */
    int64_t now_ms;
    struct known *known; /* ordered by name */
    size_t known_count;
    int is_changed;
};

static int compare_names(const void *a, const void *b)
{
    const char *const *left = a, *const *right = b;
    return strcmp(*left, *right);
}

static int compare_known(const void *key, const void *element)
{
    return strcmp(key, ((const struct known *)element)->name);
}

static int check_rows(const struct revision_row *rows, size_t count, struct err *err)
{
    int code = 0;
    if (count > LIMIT_HUB_REFS)
        return err_set(err, ERR_LIMIT, "revisions: %zu are more than %d", count, LIMIT_HUB_REFS);
    const char **names = calloc(count ? count : 1, sizeof *names);
    if (!names)
        return err_set(err, ERR_NO_MEMORY, "revisions: out of memory");
    for (size_t i = 0; i < count; i++) {
        names[i] = rows[i].name;
        if (!code && (!rows[i].name[0] || !rows[i].commit[0]))
            code = err_set(err, ERR_INVALID, "revisions: one has no name or no commit");
        if (!code && rows[i].step < REVISIONS_STEP_NONE)
            code = err_set(err, ERR_INVALID, "revision %s: the step is negative", rows[i].name);
    }
    qsort(names, count, sizeof *names, compare_names);
    for (size_t i = 1; !code && i < count; i++) {
        if (!strcmp(names[i - 1], names[i]))
            code = err_set(err, ERR_INVALID, "revision %s is listed twice", names[i]);
    }
    free(names);
    return code;
}

static int load_known(struct update *update, struct err *err)
{
    struct query query;
    int64_t count = 0;
    int code = query_begin(&query, update->connection,
                           "SELECT count(*) FROM revisions WHERE model_id = ? AND is_current = 1", err);
    if (code)
        return code;
    query_bind_int(&query, update->model_id);
    if ((code = query_run_int(&query, &count, err)) < 0)
        return code;
    update->known = calloc(count ? (size_t)count : 1, sizeof *update->known);
    if (!update->known)
        return err_set(err, ERR_NO_MEMORY, "revisions: out of memory");
    code = query_begin(&query, update->connection,
                       "SELECT id, name FROM revisions WHERE model_id = ? AND is_current = 1 ORDER BY name",
                       err);
    if (code)
        return code;
    query_bind_int(&query, update->model_id);
    while ((code = query_next(&query, err)) > 0 && update->known_count < (size_t)count) {
        struct known *known = &update->known[update->known_count++];
        known->id = query_int(&query);
        query_text(&query, known->name, sizeof known->name);
    }
    code = query_end(&query, code);
    return code < 0 ? code : 0;
}

/* A revision became current or stopped to be: who is the first with its contents may change. */
static int regroup_contents(struct update *update, int64_t revision_id, struct err *err)
{
    struct query query;
    int code = query_begin(
        &query, update->connection,
        "SELECT content_id, tensor FROM revision_tensors WHERE revision_id = ? ORDER BY tensor", err);
    if (code)
        return code;
    query_bind_int(&query, revision_id);
    while ((code = query_next(&query, err)) > 0) {
        char tensor[LIMIT_TENSOR_NAME_BYTES + 1];
        int64_t content_id = query_int(&query);
        query_text(&query, tensor, sizeof tensor);
        if ((code = touch_regroup(update->connection, update->model_id, tensor, content_id, err)))
            break;
    }
    code = query_end(&query, code);
    return code < 0 ? code : 0;
}

static int set_current(struct update *update, int64_t revision_id, int is_current, struct err *err)
{
    struct query query;
    update->is_changed = 1;
    int code =
        query_begin(&query, update->connection, "UPDATE revisions SET is_current = ? WHERE id = ?", err);
    if (code)
        return code;
    query_bind_int(&query, is_current);
    query_bind_int(&query, revision_id);
    if ((code = query_run(&query, err)))
        return code;
    return regroup_contents(update, revision_id, err);
}

/* step, stage, ingredient, tokens, stated */
static void bind_order(struct query *query, const struct revision_row *row)
{
    if (row->step == REVISIONS_STEP_NONE)
        query_bind_null(query);
    else
        query_bind_int(query, row->step);
    query_bind_int(query, row->stage);
    query_bind_int(query, row->ingredient);
    query_bind_int(query, row->tokens);
    query_bind_int(query, row->stated);
}

static int insert(struct update *update, struct revision_row *row, struct err *err)
{
    struct query query;
    update->is_changed = 1;
    int code =
        query_begin(&query, update->connection,
                    "INSERT INTO revisions (id, model_id, name, commit_sha, step, stage, ingredient, tokens, "
                    "stated, first_seen_ms) "
                    "VALUES (" ROWS_NEW_ID("revisions") ", ?, ?, ?, ?, ?, ?, ?, ?, ?) RETURNING id",
                    err);
    if (code)
        return code;
    query_bind_int(&query, update->model_id);
    query_bind_text(&query, row->name);
    query_bind_text(&query, row->commit);
    bind_order(&query, row);
    query_bind_int(&query, update->now_ms);
    code = query_run_int(&query, &row->id, err);
    return code < 0 ? code : 0;
}

/* The rule that parses names may have changed since. */
static int correct_order(struct update *update, const struct revision_row *row, struct err *err)
{
    struct query query;
    int64_t id = 0;
    int code =
        query_begin(&query, update->connection,
                    "UPDATE revisions SET step = ?2, stage = ?3, ingredient = ?4, tokens = ?5, stated = ?6 "
                    "WHERE id = ?1 AND (step IS NOT ?2 OR stage <> ?3 OR ingredient <> ?4 OR tokens <> ?5 OR "
                    "stated <> ?6) RETURNING id",
                    err);
    if (code)
        return code;
    query_bind_int(&query, row->id);
    bind_order(&query, row);
    if ((code = query_run_int(&query, &id, err)) <= 0)
        return code;
    update->is_changed = 1;
    return regroup_contents(update, row->id, err);
}

static int update_one(struct update *update, struct revision_row *row, struct err *err)
{
    struct query query;
    int64_t is_current = 0;
    struct known *known = update->known_count ? bsearch(row->name, update->known, update->known_count,
                                                        sizeof *update->known, compare_known)
                                              : NULL;
    int code = query_begin(
        &query, update->connection,
        "SELECT id, is_current FROM revisions WHERE model_id = ? AND name = ? AND commit_sha = ?", err);
    if (code)
        return code;
    query_bind_int(&query, update->model_id);
    query_bind_text(&query, row->name);
    query_bind_text(&query, row->commit);
    row->id = 0;
    if ((code = query_next(&query, err)) > 0) {
        row->id = query_int(&query);
        is_current = query_int(&query);
    }
    code = query_end(&query, code);
    if (code < 0)
        return code;
    if (known)
        known->is_seen = 1;
    if (row->id && is_current)
        return correct_order(update, row, err);
    if (known && (code = set_current(update, known->id, 0, err)))
        return code;
    if (!row->id)
        return insert(update, row, err);
    if ((code = set_current(update, row->id, 1, err)))
        return code;
    return correct_order(update, row, err);
}

static int keep_note(struct connection *connection, const struct revisions_note *note, struct err *err)
{
    struct query query;
    int code = query_begin(&query, connection, "UPDATE watches SET changes = ? WHERE id = ?", err);
    if (code)
        return code;
    query_bind_text(&query, note->changes);
    query_bind_int(&query, note->watch_id);
    return query_run(&query, err);
}

/* Beside the numbers: a reader never sees the one without the other. */
static int set_unit(struct update *update, struct err *err)
{
    struct query query;
    int64_t id = 0;
    int code =
        query_begin(&query, update->connection,
                    "UPDATE models SET step_unit = ?2 WHERE id = ?1 AND step_unit <> ?2 RETURNING id", err);
    if (code)
        return code;
    query_bind_int(&query, update->model_id);
    query_bind_int(&query, *update->unit);
    code = query_run_int(&query, &id, err);
    update->is_changed |= code > 0;
    return code < 0 ? code : 0;
}

static int update_all(struct update *update, struct revision_row *rows, size_t count, int is_complete,
                      struct err *err)
{
    int code = touch_check_model(update->connection, update->model_id, err);
    if (!code && update->unit)
        code = set_unit(update, err);
    if (!code)
        code = load_known(update, err);
    for (size_t i = 0; !code && i < count; i++)
        code = update_one(update, &rows[i], err);
    for (size_t i = 0; !code && is_complete && i < update->known_count; i++) {
        if (!update->known[i].is_seen)
            code = set_current(update, update->known[i].id, 0, err);
    }
    if (!code && update->is_changed)
        code = touch_recount_model(update->connection, update->model_id, err);
    return code;
}

int revisions_update(struct store *store, int64_t model_id, struct revision_row *rows, size_t count,
                     int is_complete, const struct revisions_note *note, struct err *err)
{
    return revisions_update_counted(store, model_id, NULL, rows, count, is_complete, note, err);
}

int revisions_update_counted(struct store *store, int64_t model_id, const enum step_unit *unit,
                             struct revision_row *rows, size_t count, int is_complete,
                             const struct revisions_note *note, struct err *err)
{
    struct update update = {.model_id = model_id, .unit = unit};
    int code = check_rows(rows, count, err);
    if (code)
        return code;
    update.now_ms = clock_wall_ms();
    if ((code = store_write_begin(store, CONNECTION_DURABILITY_FULL, &update.connection, err)))
        return code;
    code = update_all(&update, rows, count, is_complete, err);
    if (!code && note)
        code = keep_note(update.connection, note, err);
    code = store_write_end(store, code, err);
    free(update.known);
    return code;
}
