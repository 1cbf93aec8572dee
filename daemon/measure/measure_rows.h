/*
 * From the output of a device pass to the rows of the store: moments and all other numbers of the four
 * variants (all rows and token rows, raw and centred), the distributions themselves, the columns, the
 * displacements.
 */
#ifndef BIFURCATED_MEASURE_MEASURE_ROWS_H
#define BIFURCATED_MEASURE_MEASURE_ROWS_H

#include "daemon/analysis/summary.h"
#include "daemon/base/err.h"
#include "gpu/statistics.h"
#include "store/tasks.h"

#include <stdint.h>

/* The definition that results are stored with: it changes when the pass's numbers or those made of them would
 * change their meaning. */
#define MEASURE_DEFINITION (STATISTICS_DEFINITION * 100 + SUMMARY_DEFINITION)

struct measure_rows; /* of one tensor */

int measure_rows_new(struct measure_rows **ret_rows, struct err *err);

/* NULL is allowed. */
void measure_rows_free(struct measure_rows *rows);

/* Sets what all rows have in common. */
void measure_rows_begin(struct measure_rows *rows, int64_t token_rows, const char *backend);

/* Where the device pass writes to; initialised by the caller, freed with the rows, which point into it. */
struct statistics_result *measure_rows_result(struct measure_rows *rows);

/* Makes the statistics, distributions, columns and sampled entries of the pass's result; `data` are the
 * tensor's bytes. */
int measure_rows_add_statistics(struct measure_rows *rows, enum tensor_dtype dtype, const void *data,
                                struct err *err);

/* Adds the displacement against a reference. `sums` are those of both row sets, or NULL if the store has the
 * rows already. */
void measure_rows_add_link(struct measure_rows *rows, enum task_link link, int64_t reference_revision_id,
                           const struct content_row *reference, const struct statistics_displacement *sums);

/* Completes the displacement that was added last, which has sums: Wasserstein-1 distances of both row sets.
 */
void measure_rows_set_wasserstein(struct measure_rows *rows,
                                  const double distances[STATISTICS_ROW_SET_COUNT]);

/* Fills in the members of `tensor` that borrow from the rows. */
void measure_rows_finish(struct measure_rows *rows, struct task_tensor *tensor);

/* What the codes of a dtype's raw counts mean. */
enum distribution_format measure_rows_format(enum tensor_dtype dtype);

/* Takes over the numbers of a summary; what identifies the row stays. */
void measure_rows_copy_summary(const struct summary *summary, struct statistics_row *row);

#endif
