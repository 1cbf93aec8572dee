/*
 * For this folder only: what has to be kept right whenever something else was written, inside of the writer's
 * transaction: versions, counts, and which revision is the first with a content.
 */
#ifndef BIFURCATED_STORE_TOUCH_H
#define BIFURCATED_STORE_TOUCH_H

#include "store/connection.h"

/* A model may be removed between the reading of its number and a write for it. ERR_NOT_FOUND: it was. */
int touch_check_model(struct connection *connection, int64_t model_id, struct err *err);

/* The model's series changed: a new version and time. */
int touch_model(struct connection *connection, int64_t model_id, struct err *err);

/* The same of each model that has a revision with this content, but of one (0: none). */
int touch_models_with(struct connection *connection, int64_t content_id, int64_t but_model_id,
                      struct err *err);

/* A new version, and counts its revisions and measured revisions anew. */
int touch_recount_model(struct connection *connection, int64_t model_id, struct err *err);

/* A revision's tensor has got this content: finds its place among the model's revisions with the same. */
int touch_same_as(struct connection *connection, int64_t revision_id, const char *tensor, int64_t content_id,
                  struct err *err);

/* Finds the first of a model's current revisions with this content anew, for all of them. */
int touch_regroup(struct connection *connection, int64_t model_id, const char *tensor, int64_t content_id,
                  struct err *err);

#endif
