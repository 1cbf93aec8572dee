#include "store/rows.h"

#include <string.h>

void rows_read_revision(struct query *query, struct revision_row *row)
{
    row->id = query_int(query);
    row->model_id = query_int(query);
    query_text(query, row->name, sizeof row->name);
    query_text(query, row->commit, sizeof row->commit);
    int has_step = !query_is_null(query);
    row->step = query_int(query);
    if (!has_step)
        row->step = REVISIONS_STEP_NONE;
    row->stage = query_int(query);
    row->ingredient = query_int(query);
    row->tokens = query_int(query);
    row->stated = (int)query_int(query);
    row->is_current = (int)query_int(query);
    row->first_seen_ms = query_int(query);
}

void rows_read_content(struct query *query, struct content_row *row)
{
    row->id = query_int(query);
    query_text(query, row->digest, sizeof row->digest);
    query_text(query, row->dtype, sizeof row->dtype);
    row->rows = query_int(query);
    row->columns = query_int(query);
    row->size_bytes = query_int(query);
}

void rows_read_tensor(struct query *query, struct revision_tensor_row *row)
{
    row->revision_id = query_int(query);
    query_text(query, row->tensor, sizeof row->tensor);
    row->token_rows = query_int(query);
    row->definition = query_int(query);
    query_text(query, row->backend, sizeof row->backend);
    query_text(query, row->file_path, sizeof row->file_path);
    query_text(query, row->file_digest, sizeof row->file_digest);
    row->fetched_bytes = query_int(query);
    row->measured_ms = query_int(query);
    rows_read_content(query, &row->content);
}

static enum row_set read_row_set(struct query *query)
{
    char name[8];
    query_text(query, name, sizeof name);
    return strcmp(name, "tokens") ? ROW_SET_ALL : ROW_SET_TOKENS;
}

void rows_read_statistics_values(struct query *query, struct statistics_row *row)
{
#define X(name) row->name = query_int(query);
    STATISTICS_COUNTS(X)
#undef X
#define X(name) row->name = query_real(query);
    STATISTICS_REALS(X)
#undef X
}

void rows_read_displacement_values(struct query *query, struct displacement_row *row)
{
    row->elements = query_int(query);
#define X(name) row->name = query_real(query);
    DISPLACEMENT_REALS(X)
#undef X
}

void rows_read_statistics(struct query *query, struct statistics_row *row)
{
    row->row_set = read_row_set(query);
    row->token_rows = query_int(query);
    row->is_centred = (int)query_int(query);
    row->definition = query_int(query);
    query_text(query, row->backend, sizeof row->backend);
    rows_read_statistics_values(query, row);
}

void rows_read_displacement(struct query *query, struct displacement_row *row)
{
    row->row_set = read_row_set(query);
    row->token_rows = query_int(query);
    row->definition = query_int(query);
    query_text(query, row->backend, sizeof row->backend);
    rows_read_displacement_values(query, row);
}

void rows_bind_key(struct query *query, const struct revision_key *key)
{
    static const struct revision_key BEFORE_ALL = {.is_stepless = -1};
    if (!key || !key->name[0])
        key = &BEFORE_ALL;
    query_bind_int(query, key->is_stepless);
    query_bind_int(query, key->stage);
    query_bind_int(query, key->ingredient);
    query_bind_int(query, key->step);
    query_bind_int(query, key->tokens);
    query_bind_text(query, key->name);
}
