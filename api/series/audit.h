/*
 * The audit of a model's revisions as JSON: what GET .../audit answers.
 */
#ifndef BIFURCATED_API_SERIES_AUDIT_H
#define BIFURCATED_API_SERIES_AUDIT_H

#include "daemon/base/buf.h"
#include "daemon/base/err.h"
#include "store/models.h"

/* Reads the run of a tensor (NULL: the model's own) and its files, audits and appends the answer. */
int api_audit_append(struct store *store, const struct model_row *model, const char *tensor, struct buf *body,
                     struct err *err);

#endif
