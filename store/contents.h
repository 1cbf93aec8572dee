/*
 * Contents: the bytes of a tensor, identified by their SHA-256, dtype and shape, wherever they are served.
 *
 * Rows are written by tasks_record() (store/tasks.h) mostly. Here are the questions that make a second sweep
 * cheap.
 */
#ifndef BIFURCATED_STORE_CONTENTS_H
#define BIFURCATED_STORE_CONTENTS_H

#include "daemon/base/limits.h"
#include "store/store.h"

#define CONTENTS_DTYPE_SIZE 24

struct content_row {
    int64_t id; /* 0 in input */
    char digest[STORE_DIGEST_SIZE];
    char dtype[CONTENTS_DTYPE_SIZE]; /* "float16" */
    int64_t rows, columns;
    int64_t size_bytes;
};

/* A tensor of a revision. */
struct revision_tensor_row {
    int64_t revision_id;
    char tensor[LIMIT_TENSOR_NAME_BYTES + 1];
    struct content_row content;
    int64_t token_rows; /* with definition and backend: which statistics the series shows */
    int64_t definition;
    char backend[STORE_BACKEND_SIZE];
    char file_path[LIMIT_FILE_NAME_BYTES + 1];
    char file_digest[STORE_DIGEST_SIZE]; /* "" if unknown */
    int64_t fetched_bytes;
    int64_t measured_ms;
};

/* The id of a content that was read but belongs to no recorded task yet (a reference); makes the row if there
 * is none. `id` of the key is ignored. */
int contents_ensure(struct store *store, const struct content_row *key, int64_t *ret_id, struct err *err);

/* The content of a tensor in a file with this digest, known from any revision of any model: then nothing
 * needs to be fetched to know it. ERR_NOT_FOUND. */
int contents_find_by_file(struct store *store, const char *file_digest, const char *tensor,
                          struct content_row *ret_row, struct err *err);

/* The same of all files of a revision at once: calls back with each tensor that is known of one, by name and
 * then by path, at most once for each file. Of the row, name, content and file are filled in. Nonzero ends
 * it. */
int contents_list_by_files(struct store *store, int64_t revision_id,
                           int (*row)(void *context, const struct revision_tensor_row *row), void *context,
                           struct err *err);

/* The content of a revision's tensor. ERR_NOT_FOUND if it was not measured. */
int contents_find_by_revision(struct store *store, int64_t revision_id, const char *tensor,
                              struct revision_tensor_row *ret_row, struct err *err);

/* ERR_NOT_FOUND. `digest`, dtype, rows and columns of `key` are looked up. */
int contents_find(struct store *store, const struct content_row *key, struct content_row *ret_row,
                  struct err *err);

/* The measured tensors of a revision, by name. */
int contents_list_of_revision(struct store *store, int64_t revision_id,
                              int (*row)(void *context, const struct revision_tensor_row *row), void *context,
                              struct err *err);

#endif
