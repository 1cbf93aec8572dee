/*
 * For this folder only: column lists that several statements share, with the functions that read them.
 *
 * Each READ function expects its columns next in the query, in the order of the list.
 */
#ifndef BIFURCATED_STORE_ROWS_H
#define BIFURCATED_STORE_ROWS_H

#include "store/contents.h"
#include "store/displacements.h"
#include "store/query.h"
#include "store/revisions.h"
#include "store/statistics.h"

/* Columns of revisions r */
#define ROWS_REVISION                                                                                        \
    "r.id, r.model_id, r.name, r.commit_sha, r.step, r.stage, r.ingredient, r.tokens, r.stated, "            \
    "r.is_current, r.first_seen_ms"

/* Step order, and the comparison "after the key" with six bound values (rows_bind_key) */
#define ROWS_ORDER "r.is_stepless, r.stage, r.ingredient, r.step_key, r.tokens, r.name"
#define ROWS_AFTER "(" ROWS_ORDER ") > (?, ?, ?, ?, ?, ?)"

/* Columns of contents c */
#define ROWS_CONTENT "c.id, c.digest, c.dtype, c.rows, c.columns, c.size_bytes"

/* Columns of revision_tensors t, followed by ROWS_CONTENT */
#define ROWS_TENSOR                                                                                          \
    "t.revision_id, t.tensor, t.token_rows, t.definition, t.backend, t.file_path, t.file_digest, "           \
    "t.fetched_bytes, t.measured_ms"

#define ROWS_COMMA_NAME(name) ", " #name

/* Columns of statistics and displacements without an alias */
#define ROWS_STATISTICS                                                                                      \
    "row_set, token_rows, is_centred, definition, backend" STATISTICS_COUNTS(ROWS_COMMA_NAME)                \
        STATISTICS_REALS(ROWS_COMMA_NAME)
#define ROWS_DISPLACEMENT                                                                                    \
    "row_set, token_rows, definition, backend, elements" DISPLACEMENT_REALS(ROWS_COMMA_NAME)

/* A number for a new row of models, revisions or contents: none that a removed one had (store/removal.h). */
#define ROWS_NEW_ID(table)                                                                                   \
    "(SELECT max(numbers_removed, coalesce((SELECT max(id) FROM " table "), 0)) + 1 FROM totals)"

void rows_read_revision(struct query *query, struct revision_row *row);
void rows_read_content(struct query *query, struct content_row *row);
void rows_read_tensor(struct query *query, struct revision_tensor_row *row);
/* The columns of the two tables only, without the identity before them */
void rows_read_statistics_values(struct query *query, struct statistics_row *row);
void rows_read_displacement_values(struct query *query, struct displacement_row *row);
void rows_read_statistics(struct query *query, struct statistics_row *row);
void rows_read_displacement(struct query *query, struct displacement_row *row);

/* Binds the six values of ROWS_AFTER; NULL binds a key before all. */
void rows_bind_key(struct query *query, const struct revision_key *key);

#endif
