#include "store/removal.h"

#include "daemon/base/pulse.h"
#include "store/parts.h"
#include "store/sweeps.h"

/* -- What goes ------------------------------------------------------------------------------------------- */

/* The contents that revisions of model ?1 have, or are compared with. */
#define CONTENTS_OF_MODEL                                                                                    \
    "SELECT t.content_id FROM revisions r JOIN revision_tensors t ON t.revision_id = r.id "                  \
    "WHERE r.model_id = ?1 UNION SELECT l.reference_id FROM revisions r "                                    \
    "JOIN series_links l ON l.revision_id = r.id WHERE r.model_id = ?1"

/* The weights of which revisions of model ?1 show a perplexity. */
#define WEIGHTS_OF_MODEL                                                                                     \
    "SELECT p.weights_digest FROM revisions r JOIN revision_perplexities l ON l.revision_id = r.id "         \
    "JOIN perplexities p ON p.id = l.perplexity_id WHERE r.model_id = ?1"

static const char COUNT[] =
    "WITH mine(id) AS (" CONTENTS_OF_MODEL "), gone(id) AS (SELECT id FROM mine WHERE NOT EXISTS "
    "(SELECT 1 FROM revision_tensors t JOIN revisions r ON r.id = t.revision_id WHERE t.content_id = mine.id "
    "AND r.model_id <> ?1) AND NOT EXISTS (SELECT 1 FROM series_links l JOIN revisions r "
    "ON r.id = l.revision_id WHERE l.reference_id = mine.id AND r.model_id <> ?1)) SELECT "
    "(SELECT count(*) FROM revisions WHERE model_id = ?1), (SELECT count(*) FROM gone), "
    "(SELECT count(*) FROM mine) - (SELECT count(*) FROM gone), "
    "(SELECT count(*) FROM perplexities WHERE weights_digest IN (" WEIGHTS_OF_MODEL
    ") AND weights_digest NOT IN (SELECT q.weights_digest FROM perplexities q "
    "JOIN revision_perplexities l ON l.perplexity_id = q.id JOIN revisions r ON r.id = l.revision_id "
    "WHERE r.model_id <> ?1 AND q.weights_digest IN (" WEIGHTS_OF_MODEL "))), "
    "(SELECT count(*) FROM sweeps WHERE model_id = ?1), "
    "(SELECT count(*) FROM sweeps s JOIN tasks k ON k.sweep_id = s.id WHERE s.model_id = ?1), "
    "(SELECT count(*) FROM watches WHERE model_id = ?1), "
    "(SELECT count(*) FROM watches w JOIN deliveries d ON d.watch_id = w.id WHERE w.model_id = ?1), "
    "coalesce((SELECT sum(length(data)) FROM distributions WHERE content_id IN gone), 0) + "
    "coalesce((SELECT sum(length(data)) FROM columns_statistics WHERE content_id IN gone), 0) + "
    "coalesce((SELECT sum(length(data)) FROM samples WHERE content_id IN gone), 0)";

static int count(struct connection *connection, int64_t id, struct removal_counts *counts, struct err *err)
{
    struct query query;
    int code = query_begin(&query, connection, COUNT, err);
    if (code)
        return code;
    query_bind_int(&query, id);
    if ((code = query_next(&query, err)) > 0) {
        counts->revisions = query_int(&query);
        counts->contents = query_int(&query);
        counts->kept_contents = query_int(&query);
        counts->perplexities = query_int(&query);
        counts->sweeps = query_int(&query);
        counts->tasks = query_int(&query);
        counts->is_watched = query_int(&query);
        counts->deliveries = query_int(&query);
        counts->size_bytes = query_int(&query);
    }
    code = query_end(&query, code);
    return code < 0 ? code : 0;
}

/* -- Begin ----------------------------------------------------------------------------------------------- */

static int find_model(struct connection *connection, const char *model, int64_t *ret_id, struct err *err)
{
    struct query query;
    int code =
        query_begin(&query, connection, "SELECT id FROM models WHERE name = ? AND removed IS NULL", err);
    if (code)
        return code;
    query_bind_text(&query, model);
    code = query_run_int(&query, ret_id, err);
    if (code == 0)
        return err_set_absent(err, ERR_ABSENT_MODEL, "model %s is not known", model);
    return code < 0 ? code : 0;
}

/* An unfinished sweep is still wanted, and workers hold its tasks. */
static int check_sweeps(struct connection *connection, const char *model, int64_t id, struct err *err)
{
    struct query query;
    int64_t sweep = 0;
    int code = query_begin(&query, connection,
                           "SELECT id FROM sweeps INDEXED BY sweeps_model WHERE model_id = ? "
                           "AND state IN ('planning', 'running') ORDER BY id LIMIT 1",
                           err);
    if (code)
        return code;
    query_bind_int(&query, id);
    code = query_run_int(&query, &sweep, err);
    if (code > 0)
        return err_set(err, ERR_CONFLICT,
                       "model %s: its sweep %lld has not ended: cancel that first (bifurcate cancel %lld), "
                       "or wait for its end",
                       model, (long long)sweep, (long long)sweep);
    return code;
}

static int read_counts(struct store *store, const char *model, int64_t *ret_id, struct removal_counts *counts,
                       struct err *err)
{
    struct connection *connection = NULL;
    *counts = (struct removal_counts){0};
    int code = store_snapshot_begin(store, &connection, err);
    if (code)
        return code;
    code = find_model(connection, model, ret_id, err);
    if (!code)
        code = check_sweeps(connection, model, *ret_id, err);
    if (!code)
        code = count(connection, *ret_id, counts, err);
    store_read_end(store, connection);
    return code;
}

int removal_count(struct store *store, const char *model, struct removal_counts *ret_counts, struct err *err)
{
    int64_t id = 0;
    return read_counts(store, model, &id, ret_counts, err);
}

/* Frees the idempotency keys of its sweeps, and deletes its watch. */
static int mark(struct connection *connection, int64_t id, struct err *err)
{
    static const char *const sql[] = {
        "DELETE FROM watches WHERE model_id = ?",
        "UPDATE sweeps SET idempotency_key = NULL WHERE model_id = ? AND idempotency_key IS NOT NULL",
        "UPDATE models SET removed = name, name = 'removed:' || id, version = version + 1 WHERE id = ?",
    };
    int code = 0;
    for (size_t i = 0; !code && i < sizeof sql / sizeof sql[0]; i++)
        code = parts_run(connection, sql[i], id, err);
    return code;
}

int removal_begin(struct store *store, const char *model, struct removal_counts *ret_counts, struct err *err)
{
    struct connection *connection = NULL;
    int64_t counted = 0, id = 0;
    /* Counted before the transaction, since for a long series that takes seconds. */
    int code = read_counts(store, model, &counted, ret_counts, err);
    if (!code)
        code = store_write_begin(store, CONNECTION_DURABILITY_FULL, &connection, err);
    if (code)
        return code;
    code = find_model(connection, model, &id, err);
    if (!code)
        code = check_sweeps(connection, model, id, err);
    if (!code && id != counted) /* another model has taken its name since */
        code = count(connection, id, ret_counts, err);
    if (!code)
        code = mark(connection, id, err);
    return store_write_end(store, code, err);
}

/* -- In parts -------------------------------------------------------------------------------------------- */

#define OF_MODEL "EXISTS (SELECT 1 FROM revisions r WHERE r.id = revision_id AND r.model_id = ?2)"
#define DIGEST_OF_1 "(SELECT weights_digest FROM perplexities WHERE id = ?1)"
#define ROWS_MAX SWEEPS_PRUNE_TASKS

/* Its id is never reused. */
static int note_number(struct connection *connection, int64_t id, struct err *err)
{
    return parts_run(connection, "UPDATE totals SET numbers_removed = ?1 WHERE numbers_removed < ?1", id,
                     err);
}

static int delete_content(struct connection *connection, void *context, int64_t id, struct err *err)
{
    int64_t model_id = *(const int64_t *)context;
    int code = parts_run_two(connection, "DELETE FROM series_links WHERE reference_id = ?1 AND " OF_MODEL, id,
                             model_id, err);
    if (!code)
        code = parts_run_two(connection, "DELETE FROM revision_tensors WHERE content_id = ?1 AND " OF_MODEL,
                             id, model_id, err);
    if (!code)
        code = note_number(connection, id, err);
    if (!code)
        code = parts_run(connection,
                         "DELETE FROM contents WHERE id = ?1 "
                         "AND NOT EXISTS (SELECT 1 FROM revision_tensors WHERE content_id = ?1) "
                         "AND NOT EXISTS (SELECT 1 FROM series_links WHERE reference_id = ?1)",
                         id, err);
    return code;
}

/* One perplexity stands for all of its weights. */
static int delete_weights(struct connection *connection, void *context, int64_t id, struct err *err)
{
    int code = parts_run_two(connection,
                             "DELETE FROM revision_perplexities WHERE perplexity_id IN (SELECT id FROM "
                             "perplexities WHERE weights_digest = " DIGEST_OF_1 ") AND " OF_MODEL,
                             id, *(const int64_t *)context, err);
    if (!code)
        code = parts_run(connection,
                         "DELETE FROM perplexities WHERE weights_digest = " DIGEST_OF_1
                         " AND NOT EXISTS (SELECT 1 FROM perplexities q JOIN revision_perplexities l "
                         "ON l.perplexity_id = q.id WHERE q.weights_digest = " DIGEST_OF_1 ")",
                         id, err);
    return code;
}

static int delete_revision(struct connection *connection, void *context, int64_t id, struct err *err)
{
    (void)context;
    int code = note_number(connection, id, err);
    return code ? code : parts_run(connection, "DELETE FROM revisions WHERE id = ?", id, err);
}

/* Unless something still refers to it, or does again. */
static int delete_model(struct connection *connection, void *context, int64_t id, struct err *err)
{
    (void)context;
    int code = note_number(connection, id, err);
    if (!code)
        code = parts_run(connection,
                         "DELETE FROM models WHERE id = ?1 AND removed IS NOT NULL "
                         "AND NOT EXISTS (SELECT 1 FROM sweeps WHERE model_id = ?1) "
                         "AND NOT EXISTS (SELECT 1 FROM revisions WHERE model_id = ?1)",
                         id, err);
    return code;
}

/* The first revisions of model ?1, so that no search looks at all of them for each part. */
#define FIRST_REVISIONS "(SELECT id FROM revisions WHERE model_id = ?1 ORDER BY name, commit_sha LIMIT 20)"

/* What a search finds of model ?1, at most ?2: ids, and how many rows go with each. */
struct step {
    const char *find;
    int limit;
    int (*delete_one)(struct connection *, void *context, int64_t id, struct err *err); /* NULL: sweeps */
};

static const struct step SWEEPS = {
    "SELECT s.id, s.tasks_done + s.tasks_failed + s.tasks_cancelled FROM sweeps s "
    "INDEXED BY sweeps_model WHERE s.model_id = ?1 AND NOT EXISTS (SELECT 1 FROM jobs j "
    "WHERE j.sweep_id = s.id AND j.state IN ('submitting', 'pending', 'running')) ORDER BY s.id LIMIT ?2",
    100, NULL};

/* Again and again, in this order. A content has some hundred kilobytes, and as many in the log, where what
 * goes is overwritten. A revision goes once nothing hangs on it, since nothing else tells what was its. */
static const struct step STEPS[] = {
    {"SELECT content_id, 1 FROM revision_tensors WHERE revision_id IN " FIRST_REVISIONS
     " UNION SELECT reference_id, 1 FROM series_links WHERE revision_id IN " FIRST_REVISIONS " LIMIT ?2",
     20, delete_content},
    {"SELECT perplexity_id, 1 FROM revision_perplexities WHERE revision_id IN " FIRST_REVISIONS " LIMIT ?2",
     100, delete_weights},
    {"SELECT r.id, 1 + (SELECT count(*) FROM files f WHERE f.revision_id = r.id) FROM revisions r "
     "WHERE r.id IN " FIRST_REVISIONS
     " AND NOT EXISTS (SELECT 1 FROM revision_tensors WHERE revision_id = r.id) "
     "AND NOT EXISTS (SELECT 1 FROM series_links WHERE revision_id = r.id) "
     "AND NOT EXISTS (SELECT 1 FROM revision_perplexities WHERE revision_id = r.id) LIMIT ?2",
     20, delete_revision},
};
#define STEP_COUNT (sizeof STEPS / sizeof STEPS[0])

static int find(struct store *store, const struct step *step, int64_t id, struct parts_found *found,
                struct err *err)
{
    struct query query;
    found->count = 0;
    int code = query_open(&query, store, step->find, err);
    if (code)
        return code;
    query_bind_int(&query, id);
    query_bind_int(&query, step->limit);
    return query_close(&query, parts_take(&query, ROWS_MAX, found, err));
}

static int is_there(struct store *store, int64_t id, int *ret_is_there, struct err *err)
{
    struct query query;
    int code = query_open(&query, store, "SELECT 1 FROM models WHERE id = ?", err);
    if (code)
        return code;
    query_bind_int(&query, id);
    code = query_next(&query, err);
    *ret_is_there = code > 0;
    return query_close(&query, code);
}

int removal_next(struct store *store, int64_t after, int64_t *ret_id, char *name, size_t name_size,
                 struct err *err)
{
    struct query query;
    int code = query_open(
        &query, store,
        "SELECT id, removed FROM models WHERE removed IS NOT NULL AND id > ? ORDER BY id LIMIT 1", err);
    if (code)
        return code;
    query_bind_int(&query, after);
    if ((code = query_next(&query, err)) > 0) {
        *ret_id = query_int(&query);
        query_text(&query, name, name_size);
    } else if (code == 0) {
        code = err_set(err, ERR_NOT_FOUND, "no model is being removed");
    }
    return query_close(&query, code);
}

/* Until its search finds nothing more, or no parts are left; *found_any becomes 1 if it found something. */
static int run_step(struct store *store, const struct step *step, int64_t id, const atomic_bool *cancel,
                    int *parts, int *found_any, struct err *err)
{
    struct parts_found found = {.count = 0};
    int code = 0, are_gone = 0;
    do {
        if (parts && *parts <= 0)
            return 0;
        if (cancel && atomic_load(cancel))
            return err_set(err, ERR_CANCELLED, "the removal goes on at the next start");
        pulse_beat();
        code = find(store, step, id, &found, err);
        if (!code && found.count) {
            *found_any = 1;
            if (parts)
                --*parts;
            code = step->delete_one ? parts_delete(store, &found, 0, step->delete_one, &id, err)
                                    : parts_delete_sweeps(store, &found, &are_gone, err);
        }
    } while (!code && found.count);
    return code;
}

int removal_finish(struct store *store, int64_t id, const atomic_bool *cancel, int *parts, int *ret_is_gone,
                   struct err *err)
{
    const struct parts_found model = {.ids = {id}, .count = 1};
    int found_any = 1, is_left = 1;
    *ret_is_gone = 0;
    int code = run_step(store, &SWEEPS, id, cancel, parts, &found_any, err);
    while (!code && found_any) {
        found_any = 0;
        for (size_t i = 0; !code && i < STEP_COUNT; i++)
            code = run_step(store, &STEPS[i], id, cancel, parts, &found_any, err);
    }
    if (parts && *parts <= 0)
        return code;
    if (!code)
        code = parts_delete(store, &model, 0, delete_model, NULL, err);
    if (!code)
        code = is_there(store, id, &is_left, err);
    *ret_is_gone = !is_left;
    return code;
}
