/*
 * For this folder only: what lists of large values over a series share.
 */
#ifndef BIFURCATED_STORE_ROWS_VALUES_H
#define BIFURCATED_STORE_ROWS_VALUES_H

#include "store/distributions.h"
#include "store/rows.h"

/* Current revisions with the tensor, in step order; the first parameter is the tensor, the last are those of
 * values_bind_range(). */
#define VALUES_FROM                                                                                          \
    "FROM revisions r CROSS JOIN revision_tensors t ON t.revision_id = r.id AND t.tensor = ? CROSS JOIN "
#define VALUES_WHERE "WHERE r.model_id = ? AND r.is_current = 1 AND " ROWS_AFTER " "
#define VALUES_ORDER "ORDER BY " ROWS_ORDER " LIMIT ?"

/* The parameters of VALUES_WHERE and VALUES_ORDER. */
static inline void values_bind_range(struct query *query, const struct values_range *range)
{
    query_bind_int(query, range->model_id);
    rows_bind_key(query, range->after);
    query_bind_int(query, range->limit);
}

/* Damage of one value is no failure of a list, which gives it without numbers. */
static inline int values_forgive_damage(int code, struct err *err)
{
    if (code != ERR_DATABASE)
        return code;
    *err = (struct err)ERR_INIT;
    return 0;
}

#endif
