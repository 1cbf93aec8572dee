#include "store/displacements.h"

#include "store/rows.h"

#include <math.h>

void displacement_row_init(struct displacement_row *row)
{
    *row = (struct displacement_row){0};
#define X(name) row->name = (double)NAN;
    DISPLACEMENT_REALS(X)
#undef X
}

int displacements_find(struct store *store, int64_t content_id, int64_t reference_id,
                       const struct displacement_row *key, struct displacement_row *ret_row, struct err *err)
{
    struct query query;
    int code = query_open(
        &query, store,
        "SELECT " ROWS_DISPLACEMENT " FROM displacements WHERE content_id = ?1 AND reference_id = ?2 "
        "AND definition = ?3 AND (?4 = '' OR backend = ?4) AND row_set = ?5 AND token_rows = ?6 "
        "ORDER BY backend LIMIT 1",
        err);
    if (code)
        return code;
    query_bind_int(&query, content_id);
    query_bind_int(&query, reference_id);
    query_bind_int(&query, key->definition);
    query_bind_text(&query, key->backend);
    query_bind_text(&query, row_set_name(key->row_set));
    query_bind_int(&query, key->token_rows);
    code = query_next(&query, err);
    if (code > 0)
        rows_read_displacement(&query, ret_row);
    else if (code == 0)
        code = err_set(err, ERR_NOT_FOUND, "this displacement was not computed");
    return query_close(&query, code);
}

int displacements_is_reference(struct store *store, const char *digest, int *ret_is_reference,
                               struct err *err)
{
    struct query query;
    int code = query_open(&query, store,
                          "SELECT 1 FROM contents c JOIN displacements d ON d.reference_id = c.id "
                          "JOIN revision_tensors t ON t.content_id = d.content_id "
                          "JOIN revisions r ON r.id = t.revision_id AND r.is_current = 1 "
                          "JOIN models m ON m.id = r.model_id AND m.name GLOB 'file:*' "
                          "WHERE c.digest = ? LIMIT 1",
                          err);
    if (code)
        return code;
    query_bind_text(&query, digest);
    code = query_next(&query, err);
    if (code >= 0)
        *ret_is_reference = code > 0;
    return query_close(&query, code);
}
