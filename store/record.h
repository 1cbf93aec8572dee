/*
 * For this folder only: writing what was measured, inside of the writer's transaction.
 */
#ifndef BIFURCATED_STORE_RECORD_H
#define BIFURCATED_STORE_RECORD_H

#include "store/blob.h"
#include "store/connection.h"
#include "store/tasks.h"

/* The large values of a tensor, compressed before the transaction begins. */
struct record_blobs {
    size_t count;
    struct blob *blobs; /* distributions, then columns, then samples */
};

/* Refuses what must not get into the database. ERR_INVALID, ERR_LIMIT. */
int record_check(const struct task_result *result, struct err *err);

/* The caller frees *blobs also after a failure. */
int record_encode(const struct task_tensor *tensor, struct record_blobs *blobs, struct err *err);
void record_blobs_free(struct record_blobs *blobs);

/* The id of a content; makes the row if there is none. */
int record_content(struct connection *connection, const struct content_row *content, int64_t *ret_id,
                   struct err *err);

/* For the lists of columns in store/statistics.h and store/displacements.h. */
#define RECORD_NAME(name) ", " #name
#define RECORD_QUESTION(name) ", ?"

/* A row of statistics, by "INSERT ... " RECORD_STATISTICS "...". */
#define RECORD_STATISTICS                                                                                    \
    "INTO statistics (content_id, row_set, token_rows, is_centred, definition, "                             \
    "backend" STATISTICS_COUNTS(RECORD_NAME)                                                                 \
        STATISTICS_REALS(RECORD_NAME) ") VALUES (?, ?, ?, ?, ?, ?" STATISTICS_COUNTS(RECORD_QUESTION)        \
            STATISTICS_REALS(RECORD_QUESTION) ")"
int record_statistics(struct connection *connection, const char *sql, int64_t content_id,
                      const struct statistics_row *row, struct err *err);

/* Content, its place in the revision, statistics, displacements with their links, large values.
 * ERR_CANCELLED: the tensor leaves out numbers that nobody has (any more), unless it is hearsay. */
int record_tensor(struct connection *connection, const struct task_row *task,
                  const struct task_tensor *tensor, int is_hearsay, const struct record_blobs *blobs,
                  struct err *err);

/* Distributions, columns and samples of a content. */
int record_large(struct connection *connection, int64_t content_id, const struct task_tensor *tensor,
                 const struct record_blobs *blobs, struct err *err);

/* Weights digest and perplexities of a revision. */
int record_perplexities(struct connection *connection, const struct task_row *task,
                        const struct task_result *result, struct err *err);

#endif
