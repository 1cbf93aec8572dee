#include "store/touch.h"

#include "daemon/base/clock.h"
#include "store/query.h"

int touch_check_model(struct connection *connection, int64_t model_id, struct err *err)
{
    struct query query;
    int64_t found = 0;
    int code = query_begin(&query, connection, "SELECT 1 FROM models WHERE id = ? AND removed IS NULL", err);
    if (code)
        return code;
    query_bind_int(&query, model_id);
    if ((code = query_run_int(&query, &found, err)) == 0)
        return err_set_absent(err, ERR_ABSENT_MODEL,
                              "the model was removed at this moment; ask again if it is wanted");
    return code < 0 ? code : 0;
}

int touch_model(struct connection *connection, int64_t model_id, struct err *err)
{
    struct query query;
    int code = query_begin(&query, connection,
                           "UPDATE models SET version = version + 1, updated_ms = ? WHERE id = ?", err);
    if (code)
        return code;
    query_bind_int(&query, clock_wall_ms());
    query_bind_int(&query, model_id);
    return query_run(&query, err);
}

int touch_models_with(struct connection *connection, int64_t content_id, int64_t but_model_id,
                      struct err *err)
{
    struct query query;
    int code = query_begin(&query, connection,
                           "UPDATE models SET version = version + 1, updated_ms = ? WHERE id IN (SELECT "
                           "r.model_id FROM revision_tensors t JOIN revisions r ON r.id = t.revision_id "
                           "WHERE t.content_id = ?) AND id <> ?",
                           err);
    if (code)
        return code;
    query_bind_int(&query, clock_wall_ms());
    query_bind_int(&query, content_id);
    query_bind_int(&query, but_model_id);
    return query_run(&query, err);
}

int touch_recount_model(struct connection *connection, int64_t model_id, struct err *err)
{
    struct query query;
    int code =
        query_begin(&query, connection,
                    "UPDATE models SET "
                    "revision_count = (SELECT count(*) FROM revisions r WHERE r.model_id = models.id "
                    "  AND r.is_current = 1 AND r.is_stepless = 0), "
                    "measured_count = (SELECT count(*) FROM revisions r JOIN revision_tensors t "
                    "  ON t.revision_id = r.id AND t.tensor = models.tensor WHERE r.model_id = models.id "
                    "  AND r.is_current = 1 AND r.is_stepless = 0) "
                    "WHERE id = ?",
                    err);
    if (code)
        return code;
    query_bind_int(&query, model_id);
    if ((code = query_run(&query, err)))
        return code;
    return touch_model(connection, model_id, err);
}

int touch_regroup(struct connection *connection, int64_t model_id, const char *tensor, int64_t content_id,
                  struct err *err)
{
    struct query query;
    int64_t leader = 0;
    /* CROSS: from the few that have the content to the model, and not the other way round */
    int code =
        query_begin(&query, connection,
                    "SELECT r.id FROM revision_tensors t CROSS JOIN revisions r ON r.id = t.revision_id "
                    "WHERE t.content_id = ? AND t.tensor = ? AND r.model_id = ? AND r.is_current = 1 "
                    "ORDER BY r.is_stepless, r.stage, r.ingredient, r.step_key, r.tokens, r.name LIMIT 1",
                    err);
    if (code)
        return code;
    query_bind_int(&query, content_id);
    query_bind_text(&query, tensor);
    query_bind_int(&query, model_id);
    if ((code = query_run_int(&query, &leader, err)) < 0)
        return code;
    code = query_begin(
        &query, connection,
        "UPDATE revision_tensors SET same_as = CASE WHEN r.is_current = 1 AND r.id <> ?1 THEN ?1 END "
        "FROM revisions r WHERE r.id = revision_tensors.revision_id AND r.model_id = ?2 "
        "AND revision_tensors.content_id = ?3 AND revision_tensors.tensor = ?4 "
        "AND revision_tensors.same_as IS NOT CASE WHEN r.is_current = 1 AND r.id <> ?1 THEN ?1 END",
        err);
    if (code)
        return code;
    query_bind_id(&query, leader);
    query_bind_int(&query, model_id);
    query_bind_int(&query, content_id);
    query_bind_text(&query, tensor);
    return query_run(&query, err);
}

/* Usually at most one earlier revision has the content: one look-up. Only a new first one updates all. */
int touch_same_as(struct connection *connection, int64_t revision_id, const char *tensor, int64_t content_id,
                  struct err *err)
{
    struct query query;
    int64_t model_id = 0, is_current = 0, leader = 0, is_later = 0;
    int code =
        query_begin(&query, connection, "SELECT model_id, is_current FROM revisions WHERE id = ?", err);
    if (code)
        return code;
    query_bind_int(&query, revision_id);
    if ((code = query_next(&query, err)) > 0) {
        model_id = query_int(&query);
        is_current = query_int(&query);
    }
    code = query_end(&query, code);
    if (code < 0)
        return code;
    if (!is_current)
        return 0;
    code = query_begin(
        &query, connection,
        "SELECT l.id, (l.is_stepless, l.stage, l.ingredient, l.step_key, l.tokens, l.name) < "
        "(r.is_stepless, r.stage, r.ingredient, r.step_key, r.tokens, r.name) "
        "FROM revision_tensors t JOIN revisions l ON l.id = t.revision_id JOIN revisions r ON r.id = ?1 "
        "WHERE t.content_id = ?2 AND t.tensor = ?3 AND t.same_as IS NULL AND l.model_id = ?4 "
        "AND l.is_current = 1 AND l.id <> ?1 LIMIT 1",
        err);
    if (code)
        return code;
    query_bind_int(&query, revision_id);
    query_bind_int(&query, content_id);
    query_bind_text(&query, tensor);
    query_bind_int(&query, model_id);
    if ((code = query_next(&query, err)) > 0) {
        leader = query_int(&query);
        is_later = query_int(&query);
    }
    code = query_end(&query, code);
    if (code < 0)
        return code;
    if (leader && !is_later)
        return touch_regroup(connection, model_id, tensor, content_id, err);
    code = query_begin(&query, connection,
                       "UPDATE revision_tensors SET same_as = ? WHERE revision_id = ? AND tensor = ?", err);
    if (code)
        return code;
    query_bind_id(&query, leader);
    query_bind_int(&query, revision_id);
    query_bind_text(&query, tensor);
    return query_run(&query, err);
}
