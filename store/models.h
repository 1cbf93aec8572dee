/*
 * Models: "owner/name" on the hub or "file:/path", with what their config.json says.
 */
#ifndef BIFURCATED_STORE_MODELS_H
#define BIFURCATED_STORE_MODELS_H

#include "daemon/base/buf.h"
#include "daemon/base/limits.h"
#include "daemon/base/step_unit.h"
#include "store/store.h"

#define MODELS_TYPE_SIZE 64

enum model_kind { MODEL_KIND_HUB, MODEL_KIND_FOLDER };

struct model_row {
    int64_t id;
    char name[LIMIT_MODEL_NAME_BYTES + 1];
    enum model_kind kind;
    char model_type[MODELS_TYPE_SIZE]; /* "gpt_neox"; "" until known, as the numbers are 0 */
    int64_t vocabulary_size;           /* rows of the unembedding */
    int64_t token_rows;                /* of them real tokens */
    int64_t hidden_size;
    int64_t layers;
    int64_t parameter_count;
    char tensor[LIMIT_TENSOR_NAME_BYTES + 1]; /* name of the unembedding */
    enum step_unit step_unit;                 /* what the steps of its revisions count */
    uint64_t version;                         /* grows with every change of the model's series */
    int64_t created_ms;
    int64_t updated_ms;     /* of the last change of the series */
    int64_t revision_count; /* current revisions with a step */
    int64_t measured_count; /* of them, those whose `tensor` was measured */
};

/* "hub", "folder" */
const char *model_kind_name(enum model_kind kind);

/* The model's id; makes the row if there is none. ERR_INVALID if the name is empty or too long. */
int models_ensure(struct store *store, const char *name, enum model_kind kind, int64_t *ret_id,
                  struct err *err);

/* Writes model_type, vocabulary_size, token_rows, hidden_size, layers, parameter_count and tensor of row->id.
 */
int models_describe(struct store *store, const struct model_row *row, struct err *err);

/* ERR_NOT_FOUND if there is no such model. */
int models_find(struct store *store, const char *name, struct model_row *ret_row, struct err *err);
int models_get(struct store *store, int64_t id, struct model_row *ret_row, struct err *err);

/* Appends the rule for names of revisions that the last sweep of the model was planned with that named one;
 * nothing if there was none. */
int models_get_rule(struct store *store, int64_t id, struct buf *buf, struct err *err);

/* The model's version alone: one index look-up, for ETags. ERR_NOT_FOUND. */
int models_version(struct store *store, const char *name, int64_t *ret_id, uint64_t *ret_version,
                   struct err *err);

/* Models of which a revision is known, by name, at most `limit`, after the name `after` ("" from the start).
 * A sweep of a model that does not exist leaves one without, which only that sweep shows. */
int models_list(struct store *store, const char *after, int limit,
                int (*row)(void *context, const struct model_row *row), void *context, struct err *err);

/* Tensors that are measured of the model's current revisions with a step, and of how many of them: by name.
 */
int models_list_tensors(struct store *store, int64_t id,
                        void (*row)(void *context, const char *tensor, int64_t measured), void *context,
                        struct err *err);

/* Whether that tensor is measured of any of them. */
int models_has_tensor(struct store *store, int64_t id, const char *tensor, int *ret_has, struct err *err);

#endif
