#include "store/series.h"

#include "store/machine.h"
#include "store/rows.h"
#include "store/rows_perplexity.h"

#include <string.h>

const char *series_state_name(enum series_state state)
{
    static const char *const NAMES[] = {"unmeasured", "pending", "failed", "measured"};
    return (unsigned)state < sizeof NAMES / sizeof NAMES[0] ? NAMES[state] : "unknown";
}

/* ISO C promises 4,095 characters of a string; gcc and clang have no such bound. */
#pragma GCC diagnostic ignored "-Woverlength-strings"

/* -- The statement --------------------------------------------------------------------------------------- */

#define S0(name) ", s0." #name
#define S1(name) ", s1." #name
#define S2(name) ", s2." #name
#define S3(name) ", s3." #name
#define D0(name) ", d0." #name
#define D1(name) ", d1." #name
#define D2(name) ", d2." #name
#define D3(name) ", d3." #name

/* The columns, in the order of the members of struct series_row. */
#define COLUMNS_HEAD "SELECT " ROWS_REVISION ", k.state, k.error_code, k.error_message, " ROWS_TENSOR
#define COLUMNS_NAMES ", " ROWS_CONTENT ", e.name, f.name, g.name"
#define COLUMNS_S0 ", s0.content_id" STATISTICS_COUNTS(S0) STATISTICS_REALS(S0)
#define COLUMNS_S1 ", s1.content_id" STATISTICS_COUNTS(S1) STATISTICS_REALS(S1)
#define COLUMNS_S2 ", s2.content_id" STATISTICS_COUNTS(S2) STATISTICS_REALS(S2)
#define COLUMNS_S3 ", s3.content_id" STATISTICS_COUNTS(S3) STATISTICS_REALS(S3)
#define COLUMNS_D0 ", d0.elements" DISPLACEMENT_REALS(D0)
#define COLUMNS_D1 ", d1.elements" DISPLACEMENT_REALS(D1)
#define COLUMNS_D2 ", d2.elements" DISPLACEMENT_REALS(D2)
#define COLUMNS_D3 ", d3.elements" DISPLACEMENT_REALS(D3)
#define COLUMNS_LINKS ", l.token_rows, l.definition, l.backend, m.token_rows, m.definition, m.backend"
#define COLUMNS_P0 ", " ROWS_PERPLEXITY("p0")
#define COLUMNS_P1 ", " ROWS_PERPLEXITY("p1")
#define COLUMNS_P2 ", " ROWS_PERPLEXITY("p2")

#define SERIES_COLUMNS                                                                                       \
    COLUMNS_HEAD COLUMNS_NAMES COLUMNS_S0 COLUMNS_S1 COLUMNS_S2 COLUMNS_S3 COLUMNS_D0 COLUMNS_D1 COLUMNS_D2  \
        COLUMNS_D3 COLUMNS_LINKS COLUMNS_P0 COLUMNS_P1 COLUMNS_P2 " "

/* One variant of the statistics that the revision shows: a whole primary key. */
#define JOIN_S(s, row_set, token_rows, is_centred)                                                           \
    "LEFT JOIN statistics " s " ON " s ".content_id = t.content_id AND " s ".definition = t.definition "     \
    "AND " s ".backend = t.backend AND " s ".row_set = '" row_set "' AND " s ".token_rows = " token_rows     \
    " AND " s ".is_centred = " is_centred " "

/* One displacement that the revision shows, over its link l. */
#define JOIN_D(d, l, row_set, token_rows)                                                                    \
    "LEFT JOIN displacements " d " ON " d ".content_id = t.content_id AND " d ".reference_id = " l           \
    ".reference_id AND " d ".definition = " l ".definition AND " d ".backend = " l ".backend AND " d         \
    ".row_set = '" row_set "' AND " d ".token_rows = " token_rows " "

#define JOIN_P(p, m, mode)                                                                                   \
    "LEFT JOIN revision_perplexities " m " ON " m ".revision_id = r.id AND " m ".mode = '" mode "' "         \
    "LEFT JOIN perplexities " p " ON " p ".id = " m ".perplexity_id "

/* What the displacements refer to, and its name. */
#define JOIN_L(l, kind, f)                                                                                   \
    "LEFT JOIN series_links " l " ON " l ".revision_id = r.id AND " l ".tensor = ?1 AND " l ".kind = '" kind \
    "' LEFT JOIN revisions " f " ON " f ".id = " l ".reference_revision_id "

#define JOINS_HEAD                                                                                           \
    "LEFT JOIN tasks k ON k.id = (SELECT max(id) FROM tasks WHERE revision_id = r.id) "                      \
    "LEFT JOIN revision_tensors t ON t.revision_id = r.id AND t.tensor = ?1 "                                \
    "LEFT JOIN contents c ON c.id = t.content_id "                                                           \
    "LEFT JOIN revisions e ON e.id = t.same_as "
#define JOINS_LINKS JOIN_L("l", "first", "f") JOIN_L("m", "previous", "g")
#define JOINS_S01 JOIN_S("s0", "all", "0", "0") JOIN_S("s1", "tokens", "t.token_rows", "0")
#define JOINS_S23 JOIN_S("s2", "all", "0", "1") JOIN_S("s3", "tokens", "t.token_rows", "1")
#define JOINS_D01 JOIN_D("d0", "l", "all", "0") JOIN_D("d1", "l", "tokens", "l.token_rows")
#define JOINS_D23 JOIN_D("d2", "m", "all", "0") JOIN_D("d3", "m", "tokens", "m.token_rows")
#define JOINS_P01 JOIN_P("p0", "m0", "last_word") JOIN_P("p1", "m1", "tokens")
#define JOINS_P2 JOIN_P("p2", "m2", "text_mean")

/* r is revisions, ?1 the tensor's name. */
#define SERIES_JOINS JOINS_HEAD JOINS_LINKS JOINS_S01 JOINS_S23 JOINS_D01 JOINS_D23 JOINS_P01 JOINS_P2

/* Both bounds enter the index; between them, other stages may have steps outside of the asked ones. */
#define SERIES_WHERE                                                                                         \
    "WHERE r.model_id = ?2 AND r.is_current = 1 AND (" ROWS_ORDER ") > (?3, ?4, ?5, ?6, ?7, ?8) "            \
    "AND (r.is_stepless, r.stage, r.ingredient, r.step_key) <= (?9, ?10, ?11, ?12) "                         \
    "AND (r.is_stepless = 1 OR (r.step_key >= ?13 AND r.step_key <= ?12)) "

static const char SERIES_PAGE[] =
    SERIES_COLUMNS "FROM revisions r " SERIES_JOINS SERIES_WHERE "ORDER BY " ROWS_ORDER " LIMIT ?14";

static const char SERIES_COUNT[] = "SELECT count(*) FROM revisions r " SERIES_WHERE;

static const char SERIES_ONE_CURRENT[] =
    SERIES_COLUMNS "FROM revisions r INDEXED BY sqlite_autoindex_revisions_1 " SERIES_JOINS
                   "WHERE r.model_id = ?2 AND r.name = ?3 AND r.is_current = 1 LIMIT 1";

static const char SERIES_ONE_COMMIT[] = SERIES_COLUMNS
    "FROM revisions r " SERIES_JOINS "WHERE r.model_id = ?2 AND r.name = ?3 AND r.commit_sha = ?4";

/* -- Reading a row --------------------------------------------------------------------------------------- */

/* A done task proves nothing: it may have measured another tensor. */
static enum series_state state_of(const char *task_state, const struct series_row *row)
{
    enum task_state state;
    int has_perplexity = 0;
    if (row->has_tensor)
        return SERIES_STATE_MEASURED;
    if (task_state_parse(task_state, &state)) {
        if (state == TASK_STATE_QUEUED || state == TASK_STATE_CLAIMED)
            return SERIES_STATE_PENDING;
        if (state == TASK_STATE_FAILED)
            return SERIES_STATE_FAILED;
    }
    for (int i = 0; i < PERPLEXITY_MODE_COUNT; i++)
        has_perplexity |= row->perplexity[i].id != 0;
    return has_perplexity ? SERIES_STATE_MEASURED : SERIES_STATE_UNMEASURED;
}

static void read_statistics(struct query *query, struct series_row *row)
{
    for (int i = 0; i < SERIES_VARIANT_COUNT; i++) {
        struct statistics_row *statistics = &row->statistics[i];
        row->has_statistics[i] = !query_is_null(query);
        query_skip(query, 1);
        statistics_row_init(statistics);
        rows_read_statistics_values(query, statistics);
        statistics->row_set = i % 2 ? ROW_SET_TOKENS : ROW_SET_ALL;
        statistics->token_rows = i % 2 ? row->tensor.token_rows : 0;
        statistics->is_centred = i >= SERIES_VARIANT_CENTRED;
        statistics->definition = row->tensor.definition;
        memcpy(statistics->backend, row->tensor.backend, sizeof statistics->backend);
    }
}

static void read_displacements(struct query *query, struct series_row *row)
{
    for (int i = 0; i < SERIES_DISPLACEMENT_COUNT; i++) {
        struct displacement_row *displacement = &row->displacement[i];
        row->has_displacement[i] = !query_is_null(query);
        displacement_row_init(displacement);
        rows_read_displacement_values(query, displacement);
        displacement->row_set = i % 2 ? ROW_SET_TOKENS : ROW_SET_ALL;
    }
    for (int i = 0; i < SERIES_DISPLACEMENT_COUNT; i += 2) {
        struct displacement_row *all = &row->displacement[i], *tokens = all + 1;
        tokens->token_rows = query_int(query);
        all->definition = tokens->definition = query_int(query);
        query_text(query, all->backend, sizeof all->backend);
        memcpy(tokens->backend, all->backend, sizeof tokens->backend);
    }
}

static void read_row(struct query *query, const char *tensor, struct series_row *row)
{
    char task_state[16];
    rows_read_revision(query, &row->revision);
    query_text(query, task_state, sizeof task_state);
    query_text(query, row->error_code, sizeof row->error_code);
    query_text(query, row->error_message, sizeof row->error_message);
    if (strcmp(task_state, task_state_name(TASK_STATE_FAILED)) != 0)
        row->error_code[0] = row->error_message[0] = 0;
    row->has_tensor = !query_is_null(query);
    rows_read_tensor(query, &row->tensor);
    size_t length = strnlen(tensor, sizeof row->tensor.tensor - 1);
    memcpy(row->tensor.tensor, tensor, length);
    row->tensor.tensor[length] = 0;
    query_text(query, row->same_as, sizeof row->same_as);
    query_text(query, row->reference, sizeof row->reference);
    query_text(query, row->lag1_reference, sizeof row->lag1_reference);
    read_statistics(query, row);
    read_displacements(query, row);
    for (int i = 0; i < PERPLEXITY_MODE_COUNT; i++) {
        rows_read_perplexity(query, &row->perplexity[i]);
        row->perplexity[i].mode = (enum perplexity_mode)i;
    }
    row->state = state_of(task_state, row);
}

/* -- Reading a page -------------------------------------------------------------------------------------- */

/* What a query needs of the model: version, tensor, and the range of step order to read. */
struct frame {
    uint64_t version;
    int64_t revision_count;
    char tensor[LIMIT_TENSOR_NAME_BYTES + 1];
    struct revision_key start; /* exclusive */
    struct revision_key end;   /* inclusive, up to the step */
};

static int load_model(struct connection *connection, int64_t model_id, struct frame *frame, struct err *err)
{
    struct query query;
    int code = query_begin(
        &query, connection,
        "SELECT version, revision_count, tensor FROM models WHERE id = ? AND removed IS NULL", err);
    if (code)
        return code;
    query_bind_int(&query, model_id);
    if ((code = query_next(&query, err)) > 0) {
        frame->version = (uint64_t)query_int(&query);
        frame->revision_count = query_int(&query);
        query_text(&query, frame->tensor, sizeof frame->tensor);
    } else if (code == 0) {
        code = err_set_absent(err, ERR_ABSENT_MODEL, "model with id %lld is not known", (long long)model_id);
    }
    code = query_end(&query, code);
    return code < 0 ? code : 0;
}

/* Stage and ingredient of the first or last revision with a step; 0 if there is none. */
static int load_group(struct connection *connection, int64_t model_id, const char *sql,
                      struct revision_key *key, struct err *err)
{
    struct query query;
    int code = query_begin(&query, connection, sql, err);
    if (code)
        return code;
    query_bind_int(&query, model_id);
    if ((code = query_next(&query, err)) > 0) {
        key->stage = query_int(&query);
        key->ingredient = query_int(&query);
    }
    code = query_end(&query, code);
    return code < 0 ? code : 0;
}

#define FIRST_GROUP                                                                                          \
    "SELECT stage, ingredient FROM revisions WHERE model_id = ? AND is_current = 1 AND is_stepless = 0 "     \
    "ORDER BY stage, ingredient LIMIT 1"
#define LAST_GROUP                                                                                           \
    "SELECT stage, ingredient FROM revisions WHERE model_id = ? AND is_current = 1 AND is_stepless = 0 "     \
    "ORDER BY stage DESC, ingredient DESC LIMIT 1"

/*
 * The part of step order that can hold asked rows: from the cursor, or step_min of the first stage, to
 * step_max of the last stage. In a model of one stage (most are) nothing is read in vain, however long its
 * series.
 */
static int load_frame(struct connection *connection, const struct series_query *series, struct frame *frame,
                      struct err *err)
{
    int code = load_model(connection, series->model_id, frame, err);
    if (code)
        return code;
    frame->start = (struct revision_key){.is_stepless = -1};
    frame->end = (struct revision_key){.stage = INT64_MAX, .ingredient = INT64_MAX, .step = series->step_max};
    frame->end.is_stepless = series->is_stepless_included && series->step_max == INT64_MAX;
    if (series->after && series->after->name[0]) {
        frame->start = *series->after;
    } else if (series->step_min > 0) {
        frame->start = (struct revision_key){.step = series->step_min, .tokens = INT64_MIN};
        if ((code = load_group(connection, series->model_id, FIRST_GROUP, &frame->start, err)))
            return code;
    }
    if (series->step_max < INT64_MAX)
        code = load_group(connection, series->model_id, LAST_GROUP, &frame->end, err);
    return code;
}

/* Binds ?2 to ?13 of SERIES_WHERE. */
static void bind_frame(struct query *query, const struct series_query *series, const struct frame *frame)
{
    query_bind_int(query, series->model_id);
    query_bind_int(query, frame->start.is_stepless);
    query_bind_int(query, frame->start.stage);
    query_bind_int(query, frame->start.ingredient);
    query_bind_int(query, frame->start.step);
    query_bind_int(query, frame->start.tokens);
    query_bind_text(query, frame->start.name);
    query_bind_int(query, frame->end.is_stepless);
    query_bind_int(query, frame->end.stage);
    query_bind_int(query, frame->end.ingredient);
    query_bind_int(query, frame->end.step);
    query_bind_int(query, series->step_min);
}

int series_read(struct store *store, const struct series_query *series, uint64_t *ret_version,
                int (*row)(void *context, const struct series_row *row), void *context, struct err *err)
{
    struct connection *connection = NULL;
    struct query query = {0};
    struct frame frame = {0};
    struct series_row line;
    if (series->limit < 1 || series->limit > SERIES_LIMIT_MAX)
        return err_set(err, ERR_INVALID, "series: the limit of a page is 1 to %d", SERIES_LIMIT_MAX);
    int code = store_snapshot_begin(store, &connection, err);
    if (code)
        return code;
    if ((code = load_frame(connection, series, &frame, err)))
        goto out;
    const char *tensor = series->tensor ? series->tensor : frame.tensor;
    if ((code = query_begin(&query, connection, SERIES_PAGE, err)))
        goto out;
    query_bind_text(&query, tensor);
    bind_frame(&query, series, &frame);
    query_bind_int(&query, series->limit);
    while ((code = query_next(&query, err)) > 0) {
        read_row(&query, tensor, &line);
        if (row(context, &line))
            break;
    }
    if (code >= 0 && ret_version)
        *ret_version = frame.version;
out:
    code = query_end(&query, code);
    store_read_end(store, connection);
    return code < 0 ? code : 0;
}

int series_count(struct store *store, const struct series_query *series, int64_t *ret_count, struct err *err)
{
    struct connection *connection = NULL;
    struct query query;
    struct frame frame = {0};
    struct series_query whole = *series;
    int64_t count = 0;
    int code = store_snapshot_begin(store, &connection, err);
    if (code)
        return code;
    whole.after = NULL;
    if ((code = load_frame(connection, &whole, &frame, err)))
        goto out;
    if (!frame.end.is_stepless && whole.step_min <= 0 && whole.step_max == INT64_MAX) {
        count = frame.revision_count;
        goto out;
    }
    if ((code = query_begin(&query, connection, SERIES_COUNT, err)))
        goto out;
    query_bind_null(&query); /* ?1, the tensor, does not matter */
    bind_frame(&query, &whole, &frame);
    code = query_run_int(&query, &count, err);
out:
    store_read_end(store, connection);
    if (code < 0)
        return code;
    *ret_count = count;
    return 0;
}

int series_find(struct store *store, int64_t model_id, const char *tensor, const char *revision,
                const char *commit, struct series_row *ret_row, struct err *err)
{
    struct connection *connection = NULL;
    struct query query = {0};
    struct frame frame = {0};
    int code = store_snapshot_begin(store, &connection, err);
    if (code)
        return code;
    if ((code = load_model(connection, model_id, &frame, err)))
        goto out;
    if (!tensor)
        tensor = frame.tensor;
    if ((code = query_begin(&query, connection, commit ? SERIES_ONE_COMMIT : SERIES_ONE_CURRENT, err)))
        goto out;
    query_bind_text(&query, tensor);
    query_bind_int(&query, model_id);
    query_bind_text(&query, revision);
    if (commit)
        query_bind_text(&query, commit);
    code = query_next(&query, err);
    if (code > 0)
        read_row(&query, tensor, ret_row);
    else if (code == 0)
        code = err_set_absent(err, ERR_ABSENT_REVISION, "revision %s is not known", revision);
out:
    code = query_end(&query, code);
    store_read_end(store, connection);
    return code < 0 ? code : 0;
}
